"""Graphs as pictures: in layers from left to right, in several rows where they are long. All lengths are in inches."""

import importlib
import io
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from portable_nn.errors import MissingExtraError
from portable_nn.rendering.drawing import Drawable, boxes, shown, to_mermaid

__all__ = ["draw", "mimebundle"]

ROW = 15.0
"""How long a row may grow before the graph goes on in the next one, if there is a place to break it."""
GAP = 0.36
"""Between two layers."""
LEAD = 0.1
"""How far an arrow runs straight before it meets a box."""
SPACE = 0.22
"""Between two things of one layer."""
PORT = 0.2
"""Between two arrows at the same side of a box."""
APART = 0.045
"""From the middle line to the arrow forward, and to the arrow back."""
FONT = 8.5
STEP, OUTER, FORWARD, BACKWARD = "#e8f0fa", "#f4f4f4", "#1f4e8c", "#c0501f"


@dataclass(eq=False)
class _Spot:
    """A box, the label of an arrow, or where a long arrow passes a layer; (x, y) is its middle.

    `w`, `h` and `xy` are what grandalf reads and writes, which draws from top to bottom: here `w` is the height.
    """

    w: float = 0.0
    h: float = 0.0
    text: tuple[str, ...] = ()
    rounding: float = 0.0
    xy: Any = (0.0, 0.0)
    x: float = 0.0
    y: float = 0.0
    rank: int = 0
    row: int = 0


@dataclass(eq=False)
class _Arrow:
    """An arrow with its words, and the spots on its route from begin to end, of which the label is one."""

    value: str
    derivative: str
    begin: _Spot
    label: _Spot
    end: _Spot
    route: list[_Spot] = field(default_factory=list[_Spot])


def draw(graph: Drawable, path: Any = None) -> Any:
    """Return a picture of a graph, a matplotlib Figure; with `path`, write it as its ending says (png, svg, pdf).

    Values stand above the arrows forward, derivatives below the dashed arrows back, if there were such passes.

    Raises
    ------
    MissingExtraError
        If matplotlib or grandalf is not installed.
    """
    try:
        figures = importlib.import_module("matplotlib.figure")
        graphs, layouts = map(importlib.import_module, ("grandalf.graphs", "grandalf.layouts"))
    except ImportError as error:
        package = str(error.name).partition(".")[0]
        raise MissingExtraError.of(package, "plot", "a picture of a graph") from None
    spots, arrows = _contents(graph)
    rows = 0
    for layers in _layers(graphs, layouts, spots, arrows):
        rows = _arrange(layers, rows)
    ghosts = _stack(spots, arrows)
    everything = [*spots.values(), *ghosts, *(spot for arrow in arrows for spot in arrow.route)]
    width = max((p.x + p.h / 2 for p in everything), default=1.0) + SPACE
    height = max((p.y + p.w / 2 for p in everything), default=1.0) + SPACE
    figure: Any = figures.Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    bands = _bands(everything)
    begins, ends = _ports(arrows, "begin", 1), _ports(arrows, "end", -2)
    for arrow, *ports in zip(arrows, begins, ends, strict=True):
        _draw_arrow(axes, arrow, ports, bands)
    for spot in spots.values():
        _draw_box(axes, spot)
    for spot in ghosts:
        _draw_box(axes, spot, linestyle=":")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def mimebundle(graph: Drawable) -> dict[str, str]:
    """Return what a notebook may show of a graph: text, Mermaid, and SVG where it can be drawn."""
    bundle = {"text/plain": repr(graph), "text/vnd.mermaid": to_mermaid(graph)}
    try:
        figure = draw(graph)
    except MissingExtraError:
        return bundle
    with io.StringIO() as file:
        figure.savefig(file, format="svg")
        return bundle | {"image/svg+xml": file.getvalue()}


def _contents(graph: Drawable) -> tuple[dict[str, _Spot], list[_Arrow]]:
    edges = graph.edges()
    spots: dict[str, _Spot] = {}
    for name, text, is_step in boxes(graph):
        ports = max(sum(edge[side] == name for edge in edges) for side in (0, 1)) if edges else 0
        width, height = _size("\n".join(text))
        w, h = max(height + (0.18 if is_step else 0.14), ports * PORT + 0.1), width + (0.24 if is_step else 0.34)
        spots[name] = _Spot(w, h, text, 0.08 if is_step else (height + 0.14) / 2)
    arrows: list[_Arrow] = []
    for begin, end, _, value, derivative in edges:
        above, below = (_lines(array) for array in (value, derivative))
        (w1, h1), (w2, h2) = _size(above), _size(below)
        label = _Spot(2 * (max(h1, h2) + APART + 0.03), max(w1, w2, 0.05))
        arrows.append(_Arrow(above, below, spots[begin], label, spots[end]))
    return spots, arrows


def _lines(array: Any) -> str:
    return "" if array is None else shown(array).replace(" mean", "\nmean").replace(" norm", "\nnorm")


def _size(text: str) -> tuple[float, float]:
    if not text:
        return 0.0, 0.0
    measure = importlib.import_module("matplotlib.textpath").text_to_path.get_text_width_height_descent
    properties = importlib.import_module("matplotlib.font_manager").FontProperties(size=FONT)
    lines = text.split("\n")
    return max(measure(line, properties, False)[0] for line in lines) / 72 * 1.03, len(lines) * FONT * 1.25 / 72


def _layers(graphs: Any, layouts: Any, spots: dict[str, _Spot], arrows: list[_Arrow]) -> list[list[list[_Spot]]]:
    """Return for each connected part its layers, in order, and give each arrow its route. Labels are spots too."""
    vertices = {id(p): graphs.Vertex(p) for p in (*spots.values(), *(arrow.label for arrow in arrows))}
    for vertex in vertices.values():
        vertex.view = vertex.data
    pairs = [(a, (a.begin, a.label)) for a in arrows] + [(a, (a.label, a.end)) for a in arrows]
    edges = [graphs.Edge(vertices[id(begin)], vertices[id(end)], data=arrow) for arrow, (begin, end) in pairs]
    parts: list[list[list[_Spot]]] = []
    for part in graphs.Graph(list(vertices.values()), edges).C:
        layout = layouts.SugiyamaLayout(part)
        layout.xspace, layout.yspace, layout.dw, layout.dh = SPACE, GAP, 2 * APART, 2 * APART
        layout.init_all(inverted_edges=[], optimize=True)
        layout.draw(8)
        passed: dict[int, _Spot] = defaultdict(_Spot)
        layers = [[_passing(vertex, passed) for vertex in layer] for layer in layout.layers]
        for rank, layer in enumerate(layers):
            for spot in layer:
                spot.rank = rank
        to_labels_first: list[Any] = sorted(part.E(), key=lambda edge: edge.v[1].view is edge.data.end)
        for edge in to_labels_first:
            ends: list[Any] = edge.v
            by_rank: dict[int, Any] = layout.ctrls.get(edge) or dict(enumerate(ends))
            route = [_passing(by_rank[rank], passed) for rank in sorted(by_rank)]
            edge.data.route += route if edge.v[0].view is edge.data.begin else route[1:]
        parts.append(layers)
    return parts


def _passing(vertex: Any, passed: dict[int, _Spot]) -> _Spot:
    if isinstance(vertex.view, _Spot):
        return vertex.view
    spot = passed[id(vertex)]
    spot.w, spot.h, spot.xy = vertex.view.w, 0.0, vertex.view.xy
    return spot


def _arrange(layers: list[list[_Spot]], row: int) -> int:
    """Set row, x and y within the row of all spots of a connected part; return the row after it."""
    x = SPACE
    for layer in layers:
        thick = max(spot.h for spot in layer)
        # Where all goes through one box, the row can break, and the next one begins with that box again.
        breaks = len(layer) == 1 and layer[0].text and x > ROW
        y = -float("inf")
        for spot in sorted(layer, key=lambda spot: spot.xy[0]):
            spot.x, spot.row = x + thick / 2, row
            spot.y = max(spot.xy[0], y + spot.w / 2)
            y = spot.y + spot.w / 2 + SPACE
        x += thick + GAP
        if breaks and layer is not layers[-1]:
            row, x = row + 1, SPACE + thick + GAP
    return row + 1


def _stack(spots: dict[str, _Spot], arrows: list[_Arrow]) -> list[_Spot]:
    """Put the rows below each other; return the boxes that begin a row and stand at the end of the one before."""
    ghosts: dict[int, _Spot] = {}
    for arrow in arrows:
        if arrow.begin.row != arrow.label.row:
            box = arrow.begin
            again = replace(box, x=SPACE + box.h / 2, row=box.row + 1)
            arrow.begin = arrow.route[0] = ghosts.setdefault(id(box), again)
    rows: dict[int, dict[int, _Spot]] = defaultdict(dict)
    for spot in (*spots.values(), *ghosts.values(), *(spot for arrow in arrows for spot in arrow.route)):
        rows[spot.row][id(spot)] = spot
    top = SPACE
    for _, row in sorted(rows.items()):
        shift = top - min(spot.y - spot.w / 2 for spot in row.values())
        for spot in row.values():
            spot.y += shift
        top = max(spot.y + spot.w / 2 for spot in row.values()) + 2 * SPACE
    return list(ghosts.values())


def _bands(spots: list[_Spot]) -> dict[tuple[int, int], tuple[float, float]]:
    """Return by row and rank where the layer begins and ends."""
    bands: dict[tuple[int, int], tuple[float, float]] = {}
    for spot in spots:
        left, right = bands.get((spot.row, spot.rank), (spot.x, spot.x))
        bands[spot.row, spot.rank] = min(left, spot.x - spot.h / 2), max(right, spot.x + spot.h / 2)
    return bands


def _ports(arrows: list[_Arrow], side: str, neighbour: int) -> list[float]:
    """Return for each arrow how far from the middle of its box it begins or ends, so that arrows do not cross there."""
    by_box: dict[int, list[_Arrow]] = defaultdict(list)
    for arrow in arrows:
        by_box[id(getattr(arrow, side))].append(arrow)
    offsets: dict[int, float] = {}
    for there in by_box.values():
        for i, arrow in enumerate(sorted(there, key=lambda arrow: arrow.route[neighbour].y)):
            offsets[id(arrow)] = (i - (len(there) - 1) / 2) * PORT
    return [offsets[id(arrow)] for arrow in arrows]


def _draw_box(axes: Any, spot: _Spot, linestyle: str = "-") -> None:
    patches = importlib.import_module("matplotlib.patches")
    is_step = len(spot.text) > 1
    corner, style = (spot.x - spot.h / 2, spot.y - spot.w / 2), f"round,pad=0,rounding_size={spot.rounding}"
    options: dict[str, Any] = {"fc": STEP if is_step else OUTER, "ec": FORWARD if is_step else "0.45"}
    axes.add_patch(patches.FancyBboxPatch(corner, spot.h, spot.w, style, ls=linestyle, lw=0.9, zorder=3, **options))
    centred: dict[str, Any] = {"ha": "center", "va": "center", "size": FONT, "parse_math": False, "zorder": 4}
    axes.text(spot.x, spot.y, "\n".join(spot.text), linespacing=1.15, **centred)


def _draw_arrow(axes: Any, arrow: _Arrow, ports: list[float], bands: dict[tuple[int, int], Any]) -> None:
    label = arrow.label
    apart = APART if arrow.derivative else 0.0
    points: list[tuple[float, float, float]] = []
    for spot in arrow.route:
        left, right = bands[spot.row, spot.rank]
        y = spot.y
        if spot is arrow.begin:
            left, right, y = spot.x + spot.h / 2, right + LEAD, y + ports[0]
        if spot is arrow.end:
            left, right, y = left - LEAD, spot.x - spot.h / 2, y + ports[1]
        points.append((left, right, y))
    _draw_line(axes, [(left, right, y - apart) for left, right, y in points], FORWARD, "-")
    text: dict[str, Any] = {"ha": "center", "size": FONT, "parse_math": False, "zorder": 4, "linespacing": 1.1}
    axes.text(label.x, label.y - apart - 0.03, arrow.value, color=FORWARD, va="bottom", **text)
    if arrow.derivative:
        back = [(right, left, y + apart) for left, right, y in reversed(points)]
        _draw_line(axes, back, BACKWARD, (0, (3, 2)))
        axes.text(label.x, label.y + apart + 0.03, arrow.derivative, color=BACKWARD, va="top", **text)


def _draw_line(axes: Any, points: list[tuple[float, float, float]], color: str, style: Any) -> None:
    """Draw an arrow, straight where it passes a layer, from the first to the second x at height y, else curved."""
    patches, path = importlib.import_module("matplotlib.patches"), importlib.import_module("matplotlib.path").Path
    vertices, codes = [(points[0][0], points[0][2])], [path.MOVETO]
    for i, (begin, end, y) in enumerate(points):
        if i:
            x_before, y_before = vertices[-1]
            # Where the two arrows run up or down, they stay apart too.
            middle = (x_before + begin) / 2 + APART * max(-1.0, min(1.0, 2 * (y - y_before)))
            vertices += [(middle, y_before), (middle, y), (begin, y)]
            codes += [path.CURVE4] * 3
        if abs(end - begin) > 1e-6:
            vertices.append((end, y))
            codes.append(path.LINETO)
    axes.add_patch(patches.PathPatch(path(vertices, codes), fill=False, ls=style, lw=0.9, color=color, zorder=2))
    (x, y), (x_before, _) = vertices[-1], vertices[-2]
    back = 0.09 if x > x_before else -0.09
    axes.add_patch(patches.Polygon([(x, y), (x - back, y - 0.035), (x - back, y + 0.035)], color=color, lw=0, zorder=2))
