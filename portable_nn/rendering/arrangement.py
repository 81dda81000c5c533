"""Where the boxes and arrows of a picture lie: in layers, in several rows where they are long.

All lengths are in inches; y grows downwards.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

__all__ = [
    "APART",
    "LEAD",
    "PORT",
    "SPACE",
    "Arrow",
    "Frame",
    "Spot",
    "arrange",
    "bands_of",
    "frames_of",
    "layers_of",
    "ports_of",
    "stack",
]

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
TITLE = 0.17
"""For the words at the top of a frame."""
SIDE = 0.05
"""Between a frame and what is in it."""
APART = 0.045
"""From the middle line to the arrow forward, and to the arrow back."""


@dataclass(eq=False)
class Spot:
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
class Arrow:
    """An arrow with its words, and the spots on its route from begin to end, of which the label is one."""

    value: str
    derivative: str
    begin: Spot
    label: Spot
    end: Spot
    route: list[Spot] = field(default_factory=list[Spot])


class Frame(NamedTuple):
    """The rectangle around the layers of a network, in one row."""

    title: str
    left: float
    top: float
    right: float
    bottom: float


def frames_of(
    spots: Mapping[str, Spot],
    arrows: Sequence[Arrow],
    clusters: Mapping[str, tuple[str, ...]],
    width: Callable[[str], float],
) -> list[Frame]:
    """Return the frames around the boxes of each cluster and what is between them, the outer ones first.

    `width` tells that of a title.
    """
    paths = {id(spot): clusters.get(name, ()) for name, spot in spots.items()}
    around = [(paths[id(spot)], spot) for spot in spots.values()]
    for arrow in arrows:
        begin, end = paths.get(id(arrow.begin), ()), paths.get(id(arrow.end), ())
        shared = tuple(one for one, other in zip(begin, end, strict=False) if one == other)
        around += [(shared, spot) for spot in arrow.route[1:-1]]
    members: dict[tuple[tuple[str, ...], int], list[Spot]] = defaultdict(list)
    for path, spot in around:
        for depth in range(1, len(path) + 1):
            members[path[:depth], spot.row].append(spot)
    frames: list[Frame] = []
    for (path, _), within in sorted(members.items(), key=lambda item: len(item[0][0])):
        levels = 1 + max(len(other) for other in paths.values() if other[: len(path)] == path) - len(path)
        left, right = min(p.x - p.h / 2 for p in within), max(p.x + p.h / 2 for p in within)
        top, bottom = min(p.y - p.w / 2 for p in within), max(p.y + p.w / 2 for p in within)
        left, right, bottom = left - SIDE * levels, right + SIDE * levels, bottom + SIDE * levels
        frames.append(Frame(path[-1], left, top - TITLE * levels, max(right, left + width(path[-1])), bottom))
    return frames


def layers_of(graphs: Any, layouts: Any, spots: dict[str, Spot], arrows: list[Arrow]) -> list[list[list[Spot]]]:
    """Return for each connected part its layers, in order, and give each arrow its route. Labels are spots too."""
    vertices = {id(p): graphs.Vertex(p) for p in (*spots.values(), *(arrow.label for arrow in arrows))}
    for vertex in vertices.values():
        vertex.view = vertex.data
    pairs = [(a, (a.begin, a.label)) for a in arrows] + [(a, (a.label, a.end)) for a in arrows]
    edges = [graphs.Edge(vertices[id(begin)], vertices[id(end)], data=arrow) for arrow, (begin, end) in pairs]
    parts: list[list[list[Spot]]] = []
    for part in graphs.Graph(list(vertices.values()), edges).C:
        layout = layouts.SugiyamaLayout(part)
        layout.xspace, layout.yspace, layout.dw, layout.dh = SPACE, GAP, 2 * APART, 2 * APART
        layout.init_all(inverted_edges=[], optimize=True)
        layout.draw(8)
        passed: dict[int, Spot] = defaultdict(Spot)
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


def _passing(vertex: Any, passed: dict[int, Spot]) -> Spot:
    if isinstance(vertex.view, Spot):
        return vertex.view
    spot = passed[id(vertex)]
    spot.w, spot.h, spot.xy = vertex.view.w, 0.0, vertex.view.xy
    return spot


def arrange(layers: list[list[Spot]], row: int) -> int:
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


def stack(spots: dict[str, Spot], arrows: list[Arrow]) -> list[Spot]:
    """Put the rows below each other; return the boxes that begin a row and stand at the end of the one before."""
    ghosts: dict[int, Spot] = {}
    for arrow in arrows:
        if arrow.begin.row != arrow.label.row:
            box = arrow.begin
            again = replace(box, x=SPACE + box.h / 2, row=box.row + 1)
            arrow.begin = arrow.route[0] = ghosts.setdefault(id(box), again)
    rows: dict[int, dict[int, Spot]] = defaultdict(dict)
    for spot in (*spots.values(), *ghosts.values(), *(spot for arrow in arrows for spot in arrow.route)):
        rows[spot.row][id(spot)] = spot
    top = SPACE
    for _, row in sorted(rows.items()):
        shift = top - min(spot.y - spot.w / 2 for spot in row.values())
        for spot in row.values():
            spot.y += shift
        top = max(spot.y + spot.w / 2 for spot in row.values()) + 2 * SPACE
    return list(ghosts.values())


def bands_of(spots: list[Spot]) -> dict[tuple[int, int], tuple[float, float]]:
    """Return by row and rank where the layer begins and ends."""
    bands: dict[tuple[int, int], tuple[float, float]] = {}
    for spot in spots:
        left, right = bands.get((spot.row, spot.rank), (spot.x, spot.x))
        bands[spot.row, spot.rank] = min(left, spot.x - spot.h / 2), max(right, spot.x + spot.h / 2)
    return bands


def ports_of(arrows: list[Arrow], side: str, neighbour: int) -> list[float]:
    """Return for each arrow how far from the middle of its box it begins or ends, so that arrows do not cross there."""
    by_box: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        by_box[id(getattr(arrow, side))].append(arrow)
    offsets: dict[int, float] = {}
    for there in by_box.values():
        for i, arrow in enumerate(sorted(there, key=lambda arrow: arrow.route[neighbour].y)):
            offsets[id(arrow)] = (i - (len(there) - 1) / 2) * PORT
    return [offsets[id(arrow)] for arrow in arrows]
