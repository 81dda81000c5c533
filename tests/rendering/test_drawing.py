import itertools
import re
import sys

import numpy as np
import pytest

import portable_nn as pnn

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("grandalf")

APPLES = {"100", "2", "1.1", "200", "220", "2.2", "110", "1"}


def apples(run=True):
    graph = pnn.Graph(dtype="float64")
    apple, n, tax = graph.input("apple"), graph.input("n"), graph.input("tax")
    graph.output(pnn.Mul()(pnn.Mul()(apple, n), tax))
    if run:
        graph.forward(apple=100.0, n=2.0, tax=1.1)
        graph.backward()
    return graph


def residual(run=True, blocks=7):
    graph = pnn.Graph(dtype="float64", seed=0)
    node = graph.input("x")
    for _ in range(blocks):
        node = pnn.Add()(pnn.Affine(6, 6)(pnn.ReLU()(node)), node)
    graph.output(node)
    if run:
        y = graph.forward(x=np.random.default_rng(0).standard_normal((4, 6)))
        graph.backward(np.ones_like(y))
    return graph


def random_graph(seed, steps=25):
    rng = np.random.default_rng(seed)
    graph = pnn.Graph(dtype="float64")
    nodes = [graph.input(name) for name in "abc"]
    unused = list(nodes)
    for _ in range(steps):
        first = unused.pop(0) if unused else nodes[rng.integers(len(nodes))]
        second = nodes[rng.integers(len(nodes))]
        unused = [node for node in unused if node is not second]
        nodes.append(pnn.Add()(first, second))
        unused.append(nodes[-1])
    graph.output(*unused)
    graph.forward(a=1.5, b=-2.25, c=1e-7)
    graph.backward(*[1.0] * len(unused))
    return graph


def sequential():
    layers = [layer for _ in range(10) for layer in (pnn.Affine(4, 4), pnn.ReLU())]
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)


def quoted():
    graph = pnn.Graph()
    graph.output(pnn.ReLU()(graph.input('a "$x$" \\'), name="$y"))
    return graph


def test_mermaid_and_dot_have_the_same_boxes_and_the_numbers_on_their_arrows():
    for graph in (apples(), apples(run=False), residual(), sequential()):
        mermaid, dot = graph.to_mermaid(), graph.to_dot()
        found = re.findall(r"^  (\w+) (-->|-\.->)(?:\|\"(.*)\"\|)? (\w+)$", mermaid, re.M)
        # Mermaid: begin, arrow, number, end.
        expected = {(begin, end, number, arrow != "-->") for begin, arrow, number, end in found}
        arrows = re.findall(r'^  (\w+) -> (\w+)(?: \[label="([^"]*)"(.*)\])?$', dot, re.M)
        assert {(begin, end, number, "dashed" in rest) for begin, end, number, rest in arrows} == expected
        assert len(arrows) == len(found) == len(graph.edges()) * (2 if graph.gradients else 1)
        boxes = re.findall(r'^  (\w+)(?:\["|\(\[")(.*?)(?:"\]|"\]\))$', mermaid, re.M)
        assert boxes == re.findall(r'^  (\w+) \[label="(.*?)"', dot, re.M)
        assert len(boxes) == len(graph.order.inputs) + len(graph.order.steps) + len(graph.order.outputs)


def test_dot_has_the_numbers_of_the_apples():
    dot = apples().to_dot()
    edges = set(re.findall(r'(\w+ -> \w+) \[label="([^"]*)"', dot))
    names = {name: node for node, name in re.findall(r'(\w+) \[label="(\w+)', dot.replace("mul2: ", "last: "))}
    apple, n, tax, first, last = (names[name] for name in ("apple", "n", "tax", "mul1", "last"))
    assert edges == {
        *((f"{apple} -> {first}", "100"), (f"{first} -> {apple}", "2.2")),
        *((f"{n} -> {first}", "2"), (f"{first} -> {n}", "110")),
        *((f"{tax} -> {last}", "1.1"), (f"{last} -> {tax}", "200")),
        *((f"{first} -> {last}", "200"), (f"{last} -> {first}", "1.1")),
        *((f"{last} -> {names['mul2']}", "220"), (f"{names['mul2']} -> {last}", "1")),
    }


def test_names_are_escaped():
    graph = quoted()
    assert '[label="a \\"$x$\\" \\\\", shape=oval]' in graph.to_dot()
    assert '(["a #quot;$x$#quot; \\"])' in graph.to_mermaid()
    assert 'a "$x$" \\' in {text.get_text() for text in graph.draw().axes[0].texts}


@pytest.mark.parametrize(
    "graph",
    [apples(), apples(False), residual(), residual(False), sequential(), quoted(), *map(random_graph, range(8))],
    ids=lambda graph: f"{len(graph.order.steps)} steps",
)
def test_nothing_overlaps_in_the_picture(graph):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import FancyBboxPatch, PathPatch

    figure = graph.draw()
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    boxes = [p.get_window_extent(renderer) for p in axes.patches if isinstance(p, FancyBboxPatch)]
    words = [text for text in axes.texts if text.get_text()]
    inside = [t.get_window_extent(renderer) for t in words if t.get_va() == "center"]
    labels = [t.get_window_extent(renderer) for t in words if t.get_va() != "center"]
    values = sum(edge[3] is not None for edge in graph.edges())
    assert len(labels) == values + sum(edge[4] is not None for edge in graph.edges())
    assert all(
        box.x0 < t.x0 and t.x1 < box.x1 and box.y0 < t.y0 and t.y1 < box.y1
        for box, t in zip(boxes, inside, strict=True)
    )
    things = boxes + labels
    for i, one in enumerate(things):
        assert one.x0 >= 0
        assert one.y0 >= 0
        assert one.x1 <= figure.bbox.x1
        assert one.y1 <= figure.bbox.y1
        assert not [other for other in things[:i] if one.overlaps(other)]
    # Nor does an arrow run through a box or a label: it may only touch a box where it begins and ends.
    for line in (p for p in axes.patches if isinstance(p, PathPatch)):
        path = line.get_path().transformed(line.get_transform())
        fine = path.cleaned(curves=False).vertices[:-1]
        fine = np.concatenate([np.linspace(a, b, 40) for a, b in itertools.pairwise(fine)])
        for thing in things:
            near = (fine[:, 0] > thing.x0 + 1.5) & (fine[:, 0] < thing.x1 - 1.5)
            assert not (near & (fine[:, 1] > thing.y0 + 1) & (fine[:, 1] < thing.y1 - 1)).any()


def test_the_picture_has_the_numbers_of_the_apples():
    texts = {text.get_text() for text in apples().draw().axes[0].texts}
    assert texts == APPLES | {"apple", "n", "tax", "mul2", "mul1\nMul()", "mul2\nMul()"}


def test_arrays_are_shown_by_shape_mean_and_norm():
    graph = pnn.Graph(dtype="float64")
    graph.output(pnn.ReLU()(graph.input("x")))
    graph.forward(x=np.array([[3.0, 4.0]]))
    assert "(1, 2)\nmean 3.5\nnorm 5" in {text.get_text() for text in graph.draw().axes[0].texts}


def test_a_long_network_is_drawn_in_rows():
    width, height = residual(blocks=40).draw().get_size_inches()
    assert width < 25
    assert height > 8


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_written(tmp_path, ending, begins):
    figure = apples().draw(tmp_path / f"apples.{ending}")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert (tmp_path / f"apples.{ending}").read_bytes().startswith(begins)


def test_notebooks_show_the_picture():
    graph = apples()
    bundle = graph._repr_mimebundle_()
    assert bundle["text/plain"] == repr(graph)
    assert bundle["text/vnd.mermaid"] == graph.to_mermaid()
    assert "<svg" in bundle["image/svg+xml"]


@pytest.mark.parametrize("module", ["matplotlib.figure", "grandalf.graphs"])
def test_without_the_extra_drawing_says_so_and_notebooks_show_text(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(pnn.MissingExtraError, match=r"needs the package \w+: .*portable-nn\[plot\]") as raised:
        apples().draw()
    assert raised.value.name == module.partition(".")[0]
    assert set(apples()._repr_mimebundle_()) == {"text/plain", "text/vnd.mermaid"}


def nested(run=True):
    graph = pnn.Graph(seed=0, dtype="float64")
    body = pnn.Sequential(pnn.ReLU(), pnn.Affine(6, 6))
    node = pnn.Residual(pnn.Affine(6, 6), body)(pnn.Affine(4, 6)(graph.input("x")))
    graph.output(pnn.Sequential(pnn.Affine(6, 3), pnn.Softmax())(node))
    if run:
        y = graph.forward(x=np.random.default_rng(0).standard_normal((5, 4)))
        graph.backward(np.ones_like(y))
    return graph


def test_networks_among_the_layers_are_one_box_or_their_layers():
    graph = nested(run=False)
    assert 'n2["residual1: Residual(' in graph.to_mermaid()
    assert graph.to_mermaid(expand_nested=True) == (
        'graph LR\n  n0(["x"])\n  n1["affine1: Affine(4, 6)"]\n  subgraph c0["residual1: Residual"]\n'
        '    n2["residual1.0: Affine(6, 6)"]\n    subgraph c1["residual1.1: Sequential"]\n'
        '      n3["residual1.1.0: ReLU()"]\n      n4["residual1.1.1: Affine(6, 6)"]\n    end\n'
        '    n5["residual1.add1: Add()"]\n  end\n  subgraph c2["sequential1: Sequential"]\n'
        '    n6["sequential1.0: Affine(6, 3)"]\n    n7["sequential1.1: Softmax()"]\n  end\n  n8(["sequential1"])\n'
        "  n0 --> n1\n  n1 --> n2\n  n2 --> n3\n  n3 --> n4\n  n1 --> n5\n  n4 --> n5\n  n5 --> n6\n  n6 --> n7\n"
        "  n7 --> n8"
    )
    dot = graph.to_dot(expand_nested=True)
    assert 'subgraph cluster_1 { label="residual1.1: Sequential"' in dot
    assert dot.count("{") == dot.count("}") == 4


def test_expanded_graphs_show_what_is_known_outside_the_networks():
    graph = nested()
    plain, expanded = graph.to_mermaid(), graph.to_mermaid(expand_nested=True)
    labels = [set(re.findall(r"\|(.*?)\|", text)) for text in (plain, expanded)]
    assert labels[1] < labels[0]  # without the sum of the two derivatives by what the residual block takes
    assert len(labels[0] - labels[1]) == 1
    assert len(graph.draw(expand_nested=True).axes[0].texts) > len(graph.draw().axes[0].texts)


@pytest.mark.parametrize("run", [False, True])
def test_frames_are_around_the_layers_of_a_network_alone(run):
    from matplotlib.patches import FancyBboxPatch, Rectangle

    figure = nested(run).draw(expand_nested=True)
    axes = figure.axes[0]
    frames = [p for p in axes.patches if isinstance(p, Rectangle)]
    titles = [t for t in axes.texts if ": " in t.get_text()]
    boxes = [p for p in axes.patches if isinstance(p, FancyBboxPatch) and p.get_linestyle() == "-"]
    names = [t.get_text().split("\n")[0] for t in axes.texts if t.get_va() == "center"]
    for frame, title in zip(frames, titles, strict=True):
        (left, top), width, height = frame.get_xy(), frame.get_width(), frame.get_height()
        assert min(axes.get_xlim()) < left
        assert left + width < max(axes.get_xlim())
        assert min(axes.get_ylim()) < top
        assert top + height < max(axes.get_ylim())
        prefix = title.get_text().partition(":")[0] + "."
        inside = {
            name
            for name, box in zip(names, boxes, strict=False)
            if left < box.get_x() and box.get_x() + box.get_width() < left + width
            if top < box.get_y() and box.get_y() + box.get_height() < top + height
        }
        assert inside
        assert all(name.startswith(prefix) for name in inside)
    assert {t.get_text() for t in titles} == {
        *("residual1: Residual", "residual1.1: Sequential", "sequential1: Sequential")
    }
