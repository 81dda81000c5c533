"""Names of inputs and outputs: losses by output, notation, pictures, tables."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.losses import LossByOutput

LOSSES = {"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}


def graph(names=("kind", "age"), *, softmax=False, **options):
    g = pnn.Graph(seed=0, **options)
    h = pnn.Affine(6, 8)(g.input("image")) + pnn.Affine(3, 8)(g.input("table"))
    kind, age = pnn.Affine(8, 3)(h), pnn.Affine(8, 1)(h)
    nodes = pnn.Softmax()(kind) if softmax else kind, age
    g.output(*nodes) if names is None else g.output(**dict(zip(names, nodes, strict=False)))
    return g


def test_losses_are_in_the_order_of_the_outputs():
    net = graph(loss={"age": pnn.MeanSquaredError(), "kind": pnn.SoftmaxWithLoss()}, loss_weights={"age": 0.1})
    assert list(net.loss_function.losses) == ["kind", "age"]
    assert net.loss_function.weights == {"kind": 1.0, "age": 0.1}


MISTAKES = {
    "a loss without an output": ({"names": ("kind", "year"), "loss": LOSSES}, ValueError, "there is no age"),
    "no names": ({"names": None, "loss": LOSSES}, ValueError, r"output\(kind=..., age=...\)"),
    "one loss": ({"loss": pnn.SoftmaxWithLoss()}, ValueError, r"a loss for one: write loss={'kind': ..., 'age': ...}"),
    "one loss, no names": ({"names": None, "loss": pnn.SoftmaxWithLoss()}, ValueError, r"and output\(name=node"),
    "a class": ({"loss": {"kind": pnn.SoftmaxWithLoss, "age": pnn.Huber()}}, TypeError, r"loss\['kind'\] to be a Loss"),
    "no losses": ({"loss": {}}, ValueError, "a loss for each output, got an empty mapping"),
    "weights of no output": ({"loss": LOSSES, "loss_weights": {"agee": 1}}, ValueError, "did you mean age"),
    "weights that are none": ({"loss": LOSSES, "loss_weights": {"age": "x"}}, TypeError, "a number for age, got 'x'"),
    "infinite weights": ({"loss": LOSSES, "loss_weights": {"age": np.inf}}, ValueError, "a finite number for age"),
    "a weight": ({"loss": LOSSES, "loss_weights": 0.5}, TypeError, "loss_weights needs to be a mapping by kind, age"),
    "weights without losses": ({"loss_weights": {"age": 1}}, ValueError, "only with a mapping of losses"),
    "a name that begins with val_": ({"names": ("val_kind", "age")}, ValueError, 'does not begin with "val_"'),
    "the name val": ({"names": ("val", "age")}, ValueError, 'does not begin with "val_"'),
    "a name of two lines": ({"names": ("a\nb", "age")}, ValueError, "one line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    options, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=message):
        graph(**options)


def test_some_outputs_with_names_and_some_without():
    g = pnn.Graph()
    x = g.input("x")
    with pytest.raises(ValueError, match="all outputs need names, or none, got 1 without and b"):
        g.output(pnn.ReLU()(x), b=pnn.Tanh()(x))
    with pytest.raises(TypeError, match="each output to be a Node, got tuple"):
        g.output(a=(x,))
    with pytest.raises(ValueError, match="Sequential has losses for kind, age, but no outputs of these names"):
        pnn.Sequential(pnn.Affine(2, 2), loss=LOSSES)


def test_an_activation_before_its_loss_is_warned_of():
    with pytest.warns(UserWarning, match="the network ends in Softmax"):
        graph(softmax=True, loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()})


def test_notation_has_the_names():
    net = graph()
    text = net.to_postfix()
    assert text == "(((image Affine(6, 8)) (table Affine(3, 8)) +)=add1 Affine(8, 3)):kind (add1 Affine(8, 1)):age"
    for read, written in ((pnn.Graph.from_postfix, text), (pnn.Graph.from_prefix, net.to_prefix())):
        again = read(written)
        assert again.order.output_names == ["kind", "age"]
        assert again.to_postfix() == text
    assert pnn.Graph.from_postfix("(x ReLU()):'a b'").order.output_names == ["a b"]
    for wrong in ("(x ReLU()):a (x Tanh())", "(x ReLU()) (x Tanh()):a", ":a (x ReLU())", "((x ReLU()):a Tanh())"):
        with pytest.raises(ValueError, match="name"):
            pnn.Graph.from_postfix(wrong)


def test_pictures_and_tables_have_the_names():
    net = graph(loss=LOSSES)
    assert '(["kind"])' in net.to_mermaid()
    assert 'label="age", shape=oval' in net.to_dot()
    assert "affine2 Affine(3, 8)  (N, 8)" in net.summary()
    assert net.summary({"image": (6,), "table": (3,)}) == net.summary()
    pytest.importorskip("grandalf")
    texts = {text.get_text() for text in net.draw().axes[0].texts}
    assert {"image", "table", "kind", "age"} <= texts


def test_a_formula_gives_its_outputs_by_name():
    g = pnn.Graph(dtype="float64")
    a, b = g.input("a"), g.input("b")
    g.output(total=a + b, product=a * b)
    assert {name: float(y) for name, y in g.forward(a=3.0, b=4.0).items()} == {"total": 7.0, "product": 12.0}
    g.backward(1.0, 10.0)
    assert float(g.gradients["a"]) == 41.0


def test_a_loss_that_knows_all_outputs_is_still_one():
    """A loss of somebody's own may take the tuple of all outputs, as it did before there were names."""

    class Both(pnn.Loss):
        def targets(self, shape, t, place, sample_weight=None):
            return place.asarray(t), None

        def forward_pass(self, run, params, y, t, weight=None):
            return run.place.xp.sum((y[0] + y[1] - t) ** 2), 2 * (y[0] + y[1] - t)

        def gradient(self, run, saved, dout=1.0):
            return saved, saved

    g = pnn.Graph(loss=Both(), seed=0, dtype="float64")
    x = g.input("x")
    g.output(pnn.Affine(2, 1)(x), pnn.Affine(2, 1)(x))
    x, t = np.random.default_rng(0).random((20, 2)), np.ones((20, 1))
    history = pnn.Trainer(g, pnn.SGD(0.01)).fit(x, t, epochs=20, progress=False)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_losses_by_output_are_no_layer_of_files_or_texts():
    assert isinstance(graph(loss=LOSSES).loss_function, LossByOutput)
    with pytest.raises(ValueError, match="LossByOutput"):
        pnn.Graph.from_postfix("(x LossByOutput())")


def test_a_loss_that_is_replaced_fits_the_outputs():
    net = graph()
    net.loss_function = {"age": pnn.Huber(), "kind": pnn.SoftmaxWithLoss()}
    assert list(net.loss_function.losses) == ["kind", "age"]
    for loss, kind in (({"kind": pnn.SoftmaxWithLoss()}, ValueError), (pnn.Huber(), ValueError), ("huber", TypeError)):
        with pytest.raises(kind, match="loss"):
            net.loss_function = loss
    assert list(net.loss_function.losses) == ["kind", "age"]
