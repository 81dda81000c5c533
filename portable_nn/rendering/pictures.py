"""Graphs as pictures: in layers from left to right, in several rows where they are long. All lengths are in inches."""

import importlib
import io
from typing import Any

from portable_nn.errors import MissingExtraError
from portable_nn.rendering.arrangement import (
    APART,
    LEAD,
    PORT,
    SPACE,
    Arrow,
    Frame,
    Spot,
    arrange,
    bands_of,
    frames_of,
    layers_of,
    ports_of,
    stack,
)
from portable_nn.rendering.drawing import boxes, shown, to_mermaid
from portable_nn.rendering.expansion import Drawable, expanded

__all__ = ["draw", "mimebundle"]

FONT = 8.5
STEP, OUTER, FORWARD, BACKWARD = "#e8f0fa", "#f4f4f4", "#1f4e8c", "#c0501f"


def draw(graph: Drawable, path: Any = None, *, expand_nested: bool = False) -> Any:
    """Return a picture of a graph, a matplotlib Figure; with `path`, write it as its ending says (png, svg, pdf).

    Values stand above the arrows forward, derivatives below the dashed arrows back, if there were such passes. With
    `expand_nested`, networks among the layers are frames around their layers.

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
    graph, clusters = expanded(graph, expand_nested)
    spots, arrows = _contents(graph)
    rows = 0
    for layers in layers_of(graphs, layouts, spots, arrows):
        rows = arrange(layers, rows)
    ghosts = stack(spots, arrows)
    everything = [*spots.values(), *ghosts, *(spot for arrow in arrows for spot in arrow.route)]
    frames = frames_of(spots, arrows, clusters, lambda title: _size(title)[0])
    left, top = min((0.0, *(f.left - LEAD for f in frames))), min((0.0, *(f.top - LEAD for f in frames)))
    right = max((*(p.x + p.h / 2 + SPACE for p in everything), *(f.right + LEAD for f in frames)), default=1.0)
    bottom = max((*(p.y + p.w / 2 + SPACE for p in everything), *(f.bottom + LEAD for f in frames)), default=1.0)
    figure: Any = figures.Figure(figsize=(right - left, bottom - top))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for frame in frames:
        _draw_frame(axes, frame)
    bands = bands_of(everything)
    begins, ends = ports_of(arrows, "begin", 1), ports_of(arrows, "end", -2)
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


def _contents(graph: Drawable) -> tuple[dict[str, Spot], list[Arrow]]:
    edges = graph.edges()
    spots: dict[str, Spot] = {}
    for name, text, is_step in boxes(graph):
        ports = max(sum(edge[side] == name for edge in edges) for side in (0, 1)) if edges else 0
        width, height = _size("\n".join(text))
        w, h = max(height + (0.18 if is_step else 0.14), ports * PORT + 0.1), width + (0.24 if is_step else 0.34)
        spots[name] = Spot(w, h, text, 0.08 if is_step else (height + 0.14) / 2)
    arrows: list[Arrow] = []
    for begin, end, _, value, derivative in edges:
        above, below = (_lines(array) for array in (value, derivative))
        (w1, h1), (w2, h2) = _size(above), _size(below)
        label = Spot(2 * (max(h1, h2) + APART + 0.03), max(w1, w2, 0.05))
        arrows.append(Arrow(above, below, spots[begin], label, spots[end]))
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


def _draw_frame(axes: Any, frame: Frame) -> None:
    patches = importlib.import_module("matplotlib.patches")
    corner, width, height = (frame.left, frame.top), frame.right - frame.left, frame.bottom - frame.top
    axes.add_patch(patches.Rectangle(corner, width, height, fc=(0, 0, 0, 0.03), ec="0.6", lw=0.8, zorder=1))
    options: dict[str, Any] = {"ha": "left", "va": "top", "size": FONT - 1.5, "color": "0.35", "parse_math": False}
    axes.text(frame.left + 0.05, frame.top + 0.03, frame.title, zorder=1, **options)


def _draw_box(axes: Any, spot: Spot, linestyle: str = "-") -> None:
    patches = importlib.import_module("matplotlib.patches")
    is_step = len(spot.text) > 1
    corner, style = (spot.x - spot.h / 2, spot.y - spot.w / 2), f"round,pad=0,rounding_size={spot.rounding}"
    options: dict[str, Any] = {"fc": STEP if is_step else OUTER, "ec": FORWARD if is_step else "0.45"}
    axes.add_patch(patches.FancyBboxPatch(corner, spot.h, spot.w, style, ls=linestyle, lw=0.9, zorder=3, **options))
    centred: dict[str, Any] = {"ha": "center", "va": "center", "size": FONT, "parse_math": False, "zorder": 4}
    axes.text(spot.x, spot.y, "\n".join(spot.text), linespacing=1.15, **centred)


def _draw_arrow(axes: Any, arrow: Arrow, ports: list[float], bands: dict[tuple[int, int], Any]) -> None:
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
