import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portable_nn as pnn

NOTATIONS = {
    "postfix": (pnn.Graph.to_postfix, pnn.Graph.from_postfix),
    "prefix": (pnn.Graph.to_prefix, pnn.Graph.from_prefix),
}
both = pytest.mark.parametrize(("write", "read"), NOTATIONS.values(), ids=NOTATIONS)


def multiply_add():
    graph = pnn.Graph(dtype="float64")
    x, y, b = (graph.input(name) for name in "xyb")
    graph.output(pnn.Add()(pnn.Mul()(x, y), b))
    return graph


def everything():
    """Every feature of the notation: fan-out, names, several outputs, a layer used twice, a transposed tie, options."""
    graph = pnn.Graph(dtype="float64", seed=1)
    left, right = pnn.Split(2, axis=1)(graph.input("two halves"))
    encoder, relu = pnn.Affine(3, 2), pnn.ReLU()
    code = relu(relu(encoder(left)))
    decoded = pnn.Affine(2, 3, W=encoder.parameters["W"].T, bias=False)(code, name="the decoder")
    ratio = pnn.Div()(pnn.Neg()(pnn.Sub()(decoded, right)), graph.input("scale"))
    graph.output(pnn.Reshape([3, 1])(ratio), pnn.Concat(axis=1)(pnn.Power(3)(ratio), decoded, right), decoded)
    return graph


def structure(graph):
    """What must survive: a graph but for the order of independent steps, told by names."""
    users = {}
    for step in graph.order.steps:
        users.setdefault(id(step.layer), set()).add(step.name)
    return {
        "steps": {s.name: (type(s.layer), s.layer.config(), s.inputs, s.outputs) for s in graph.order.steps},
        "inputs": set(graph.order.inputs),
        "outputs": graph.order.outputs,
        "shared": sorted(map(sorted, users.values())),
        "ties": graph.sharing.ties(),
    }


def test_as_the_notes_write_it():
    assert multiply_add().to_postfix() == "((x y *) b +)"
    assert multiply_add().to_prefix() == "(+ (* x y) b)"


def test_a_value_that_is_used_again_is_named():
    graph = pnn.Graph()
    product = pnn.Mul()(graph.input("x"), graph.input("y"))
    graph.output(pnn.Sub()(product, pnn.Neg()(product)))
    assert graph.to_postfix() == "((x y *)=mul1 (mul1 -) -)"
    assert graph.to_prefix() == "(- (* x y)=mul1 (- mul1))"


@both
@pytest.mark.parametrize("make", [multiply_add, everything])
def test_a_graph_comes_back(make, write, read):
    graph = make()
    back = read(write(graph), dtype="float64", seed=1)
    assert structure(back) == structure(graph)
    assert write(back) == write(graph)


@both
def test_a_graph_that_came_back_computes_the_same(write, read):
    graph = everything()
    back = read(write(graph), dtype="float64", seed=1)
    x = np.random.default_rng(0).normal(size=(1, 6))
    feeds = {"two halves": x, "scale": np.array(2.0)}
    for ours, theirs in zip(graph.forward(**feeds), back.forward(**feeds), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("((x y *) b +)", 2 * 3 + 5),
        ("(x (y b -) /)", 2 / (3 - 5)),
        ("((x -) ^2)", 4),
        ("((x ^-0.5) ((y b +)=p p *) *)", 2**-0.5 * 64),
        ("((x Branch()).1=two (two.2 y *) +)", 2 + 2 * 3),
        ("(((x y +) -)=minus @minus)", 5),
    ],
)
def test_values(text, value):
    feeds = {"x": 2.0, "y": 3.0, "b": 5.0}
    graph = pnn.Graph.from_postfix(text, dtype="float64")
    result = graph.forward(**{name: feeds[name] for name in graph.order.inputs})
    assert result == pytest.approx(value, rel=1e-15)


def test_a_sequential_comes_back_as_a_graph():
    net = pnn.Sequential(pnn.Affine(4, 3), pnn.Dropout(0.25), pnn.Affine(3, 2, bias=False), seed=0)
    text = net.to_postfix()
    assert text == "(((x Affine(4, 3))=0 Dropout(rate=0.25))=1 Affine(3, 2, bias=False))=2"
    assert structure(pnn.Graph.from_postfix(text)) == structure(net)


class Cube(pnn.Layer):
    def forward_pass(self, run, params, x):
        return x**3, x


def test_layers_of_your_own_are_passed():
    with pytest.raises(ValueError, match="no layer or parameter 'Cube'"):
        pnn.Graph.from_postfix("(x Cube())")
    graph = pnn.Graph.from_postfix("(x Cube())", classes=[Cube])
    assert graph.to_prefix() == "(Cube() x)"
    assert graph.forward(x=2.0) == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1, .*at least one output"),
        ("(x y *", "character 7, .*not closed"),
        ("x)", "character 2, .*not opened"),
        ("x y *", "character 5, .*in parentheses"),
        ("()", "character 2, .*one layer, which stands last"),
        ("(* x y)", "character 7, .*one layer, which stands last"),
        ("(x y)", "character 5, .*one layer"),
        ("(x * y *)", "character 9, .*one layer"),
        ("(*)", "character 3, .*need operands"),
        ("((x y *) *)", "character 10, .*does not take 1 operand$"),
        ("(x y ReLU())", "character 6, .*does not take 2 operands"),
        ("(x Branch())", "character 4, .*2 outputs: write .1 to .2"),
        ("(x Branch()).3", "character 4, .*2 outputs"),
        ("(x Branch()).1", "branch1.2 is not used"),
        ("(x ReLU()).1", "character 4, .*one output"),
        ("(x y *)=x", "character 6, .*there is a node x already"),
        ("(x @affine1)", "character 4, .*no layer or parameter 'affine1'"),
        ("(x ^two)", "character 4, .*options are numbers"),
        ("(x y *) & z", "character 9, .*no part of the notation"),
        ("(x Affine(2, 3)) affine1.W=b.W", "character 18, .*no layer or parameter 'b'"),
        ("((x Affine(2, 3)) Affine(3, 2)) affine2.W=affine1.W", "character 33, .*another shape"),
        ("(x Linear(2, 3))", "character 4, .*no layer or parameter 'Linear'"),
        ("(x Layer())", "no layer or parameter 'Layer'"),
        ("(x Affine(2))", "character 4, .*missing"),
        ("(x Affine(2, 0))", "character 4, .*positive integer"),
        ("(x Affine(2, 3, xp='jax'))", "character 4, .*the options inputs, outputs, bias"),
        ("(x Affine(2, __import__('os').getpid()))", "character 4, .*no part of|character 4, .*options are numbers"),
        ("(x Affine(2, print(3)))", "character 4, .*options are numbers"),
        ("(x None(1))", "character 4, .*no layer"),
        ("(x if(1))", "character 4, .*syntax"),
    ],
)
def test_wrong_text_is_told_where(text, message):
    with pytest.raises(ValueError, match=message):
        pnn.Graph.from_postfix(text)


def test_prefix_has_the_layer_first():
    with pytest.raises(ValueError, match=r"character 7, .*which stands first"):
        pnn.Graph.from_prefix("(x y *)")


@given(st.text(alphabet=string.ascii_letters + "()@^.=+-*/'\" 12,", max_size=30))
def test_any_other_text_is_a_value_error(text):
    try:
        graph = pnn.Graph.from_postfix(text)
    except ValueError:
        return
    assert structure(pnn.Graph.from_postfix(graph.to_postfix())) == structure(graph)


@st.composite
def graphs(draw):
    graph = pnn.Graph(dtype="float64")
    names = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=4)
    labels = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    nodes = [graph.input(f"i{label}") for label in labels]
    layers = []
    for i in range(draw(st.integers(1, 25))):
        fresh = draw(
            st.sampled_from([pnn.Add, pnn.Sub, pnn.Mul, pnn.Div, pnn.Neg, pnn.Exp, pnn.Branch, lambda: pnn.Power(2.5)])
        )()
        layer = draw(st.sampled_from([fresh, *layers]))
        layers.append(layer)
        count = 2 if isinstance(layer, pnn.Add | pnn.Sub | pnn.Mul | pnn.Div) else 1
        operands = [draw(st.sampled_from(nodes)) for _ in range(count)]
        made = layer(*operands, name=draw(st.sampled_from([None, f"s{i}", f"a b{i}", f"é'\"{i}"])))
        nodes += made if isinstance(made, tuple) else (made,)
    used = {name for step in graph.order.steps for name in step.inputs}
    graph.output(*(node for node in nodes if node.name not in used))
    return graph


@both
@settings(deadline=None)
@given(graph=graphs())
def test_random_graphs_come_back(write, read, graph):
    assert structure(read(write(graph))) == structure(graph)


@pytest.mark.parametrize("prefix", [False, True])
def test_a_graph_of_any_depth_is_written_and_read(prefix):
    graph = pnn.Graph()
    node = graph.input("x")
    for _ in range(1200):
        node = pnn.Neg()(node)
    graph.output(node)
    text = graph.to_prefix() if prefix else graph.to_postfix()
    again = (pnn.Graph.from_prefix if prefix else pnn.Graph.from_postfix)(text)
    assert len(again.order.steps) == 1200
    assert (again.to_prefix() if prefix else again.to_postfix()) == text
