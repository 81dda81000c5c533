"""Graphs: numbers of the notes, gradients against torch, sharing, training, files, and mistakes."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing import numerical_gradient

F32 = np.float32
RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((60, 6)).astype(F32), RNG.integers(0, 3, 60)


def apples(**options):
    g = pnn.Graph(**options)
    apple, n, tax = g.input("apple"), g.input("n"), g.input("tax")
    g.output(pnn.Mul()(pnn.Mul()(apple, n), tax))
    return g


def test_two_apples(xp):
    g = apples(xp=xp)
    assert float(g.forward(apple=100.0, n=2.0, tax=1.1)) == pytest.approx(220)
    g.backward()
    assert {name: float(g.gradients[name]) for name in ("apple", "n", "tax", "mul1", "mul2")} == pytest.approx(
        {"apple": 2.2, "n": 110, "tax": 200, "mul1": 1.1, "mul2": 1}
    )
    for number in ("100", "2", "1.1", "200", "220", "2.2", "110", "200", "1"):
        assert f'|"{number}"|' in g.to_mermaid()


def test_apples_and_oranges(xp):
    g = pnn.Graph(xp=xp)
    n, a, m, o, tax = (g.input(name) for name in ("n", "apple", "m", "orange", "tax"))
    both = pnn.Add()(pnn.Mul()(n, a, name="apples"), pnn.Mul()(m, o, name="oranges"), name="goods")
    g.output(pnn.Mul()(both, tax))
    assert float(g.forward(n=2.0, apple=100.0, m=3.0, orange=150.0, tax=1.1)) == pytest.approx(715)
    assert [float(g.values[v]) for v in ("apples", "oranges", "goods")] == [200, 450, 650]
    g.backward()
    expected = {"goods": 1.1, "tax": 650, "apple": 2.2, "n": 110, "orange": 3.3, "m": 165}
    assert {name: float(g.gradients[name]) for name in expected} == pytest.approx(expected)
    drawn = g.to_mermaid()
    for value in (2, 100, 3, 150, 200, 450, 650, 1.1, 715):
        assert f'-->|"{value}"|' in drawn
    for derivative in expected.values():
        assert f'-.->|"{derivative}"|' in drawn


def test_fan_out_adds_gradients(xp):
    g = pnn.Graph(xp=xp)
    x = g.input("x")
    g.output(pnn.Mul()(x, x))
    assert float(g.forward(x=3.0)) == 9
    g.backward()
    assert float(g.gradients["x"]) == 6


def test_the_square_of_a_sum(xp):
    g = pnn.Graph(xp=xp)
    g.output(pnn.Power(2)(pnn.Add()(g.input("x"), g.input("y"))))
    g.forward(x=1.5, y=2.0)
    g.backward()
    assert float(g.gradients["x"]) == float(g.gradients["y"]) == 7


def test_repeat_and_its_mirror(xp):
    g = pnn.Graph(xp=xp)
    g.output(pnn.Repeat(2, axis=0)(g.input("x")))
    assert g.forward(x=np.array([[1.0, 2, 3]])).shape == (2, 3)
    g.backward(np.array([[1.0, 2, 3], [4, 5, 6]]))
    np.testing.assert_array_equal(to_numpy(g.gradients["x"]), [[5, 7, 9]])


UNARY = {
    "Neg": (pnn.Neg, lambda torch, a: -a),
    "Exp": (pnn.Exp, lambda torch, a: torch.exp(a)),
    "Tanh": (pnn.Tanh, lambda torch, a: torch.tanh(a)),
    "Sigmoid": (pnn.Sigmoid, lambda torch, a: torch.sigmoid(a)),
}
BINARY = {
    "Add": (pnn.Add, lambda torch, a, b: a + b),
    "Sub": (pnn.Sub, lambda torch, a, b: a - b),
    "Mul": (pnn.Mul, lambda torch, a, b: a * b),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs_agree_with_torch(data):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shapes = [(4, 3), (1, 3), (4, 1), (3,), ()]
    g = pnn.Graph(dtype="float64", seed=0)
    inputs = {f"x{i}": 0.5 * rng.standard_normal(data.draw(st.sampled_from(shapes))) for i in range(3)}
    nodes = {name: g.input(name) for name in inputs}
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in inputs.items()}
    shared = pnn.MatMul(3, 3)
    weights = None
    for i in range(data.draw(st.integers(5, 40))):
        names = list(nodes)
        a, b = (names[data.draw(st.integers(0, len(names) - 1))] for _ in range(2))
        name = f"v{i}"
        if theirs[a].shape == (4, 3) and data.draw(st.integers(0, 3)) == 0:
            if weights is None:
                rng_w = pnn.Sequential(shared, seed=5, dtype="float64")
                weights = torch.tensor(to_numpy(rng_w.parameters["0.W"]).copy(), requires_grad=True)
            nodes[name], theirs[name] = shared(nodes[a], name=name), theirs[a] @ weights
        elif data.draw(st.booleans()):
            ours, torchs = UNARY[data.draw(st.sampled_from(sorted(UNARY)))]
            squashed, theirs[name + "s"] = pnn.Tanh()(nodes[a], name=name + "s"), torch.tanh(theirs[a])
            nodes[name], theirs[name] = ours()(squashed, name=name), torchs(torch, theirs[name + "s"])
        else:
            ours, torchs = BINARY[data.draw(st.sampled_from(sorted(BINARY)))]
            nodes[name], theirs[name] = ours()(nodes[a], nodes[b], name=name), torchs(torch, theirs[a], theirs[b])
    assume(all(float(tensor.detach().abs().max()) < 1e6 for tensor in theirs.values()))
    used = {value for step in g.order.steps for value in step.inputs}
    ends = [name for name in nodes if name not in used]
    g.output(*(nodes[name] for name in ends))
    for tensor in theirs.values():
        if not tensor.is_leaf:
            tensor.retain_grad()
    g.forward(**inputs)
    douts = [rng.standard_normal(theirs[name].shape) for name in ends]
    g.backward(*douts)
    torch.autograd.backward([theirs[name] for name in ends], [torch.tensor(dout) for dout in douts])
    for name, tensor in theirs.items():
        scale = max(1.0, float(tensor.grad.abs().max()))
        np.testing.assert_allclose(g.values[name], tensor.detach(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g.gradients[name], tensor.grad, rtol=1e-12, atol=1e-12 * scale)
    if weights is not None:
        (found,) = (g.gradients[name] for name in g.parameters)
        np.testing.assert_allclose(
            found, weights.grad, rtol=1e-12, atol=1e-12 * max(1.0, float(weights.grad.abs().max()))
        )


def residual(**options):
    g = pnn.Graph(loss=pnn.SoftmaxWithLoss(), seed=0, **options)
    h = pnn.Affine(6, 5)(g.input("x"))
    for _ in range(2):
        h = pnn.Add()(h, pnn.Affine(5, 5)(pnn.ReLU()(h)))
    g.output(pnn.Affine(5, 3)(h))
    return g


def two_branches(**options):
    g = pnn.Graph(loss=pnn.SoftmaxWithLoss(), seed=0, **options)
    x = g.input("x")
    g.output(pnn.Affine(8, 3)(pnn.Concat(1)(pnn.Tanh()(pnn.Affine(6, 4)(x)), pnn.ReLU()(pnn.Affine(6, 4)(x)))))
    return g


@pytest.mark.parametrize("make", [residual, two_branches])
def test_branching_networks_train_alike_on_every_backend(make, xp):
    losses = []
    for namespace in (xp, "numpy"):
        net = make(xp=namespace)
        history = pnn.Trainer(net, pnn.SGD(0.1)).fit(X, T, epochs=30, batch_size=20, progress=False)
        losses.append(history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][-1] < 0.8 * losses[0][0]


@pytest.mark.parametrize("make", [residual, two_branches])
def test_branching_networks_pass_the_gradient_check_and_keep_in_files(make, tmp_path):
    net = make()
    pnn.testing.check_network(net, X[:3], T[:3])
    net.save(tmp_path / "net.safetensors")
    for other in (pnn.load(tmp_path / "net.safetensors"), net.to(dtype="float32")):
        assert other.layout() == net.layout()
        np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert net.accuracy(X, T) >= 0


def tied():
    g = pnn.Graph(loss=pnn.MeanSquaredError(), seed=0, dtype="float64")
    encoder = pnn.MatMul(6, 4)
    g.output(pnn.MatMul(4, 6, W=encoder.parameters["W"].T)(pnn.Tanh()(encoder(g.input("x"), name="encoder"))))
    return g


def test_a_tied_graph_has_torchs_gradient_and_is_still_tied_after_loading(tmp_path):
    torch = pytest.importorskip("torch")
    net, x = tied(), X.astype(float)
    W = torch.tensor(net.parameters["encoder.W"], requires_grad=True)
    ((torch.tanh(torch.tensor(x) @ W) @ W.T - torch.tensor(x)) ** 2).mean().backward()
    np.testing.assert_allclose(net.gradient(x, x)["encoder.W"], W.grad, rtol=1e-12, atol=1e-14)
    net.save(tmp_path / "tied.safetensors")
    loaded = pnn.load(tmp_path / "tied.safetensors")
    assert list(loaded.parameters) == ["encoder.W"]
    loaded.parameters["encoder.W"] = np.zeros((6, 4))
    assert not loaded.predict(x).any()


def test_a_value_may_be_called_as_an_output_box_is():
    g = pnn.Graph()
    g.output(pnn.ReLU()(g.input("y out"), name="y"))
    assert g.to_mermaid().splitlines()[-2:] == ["  n0 --> n1", "  n1 --> n2"]


def test_the_summary_of_a_graph():
    lines = two_branches().summary().splitlines()
    assert lines[2].split() == ["affine1", "Affine(6,", "4)", "(N,", "4)", "28"]
    assert lines[6].split() == ["concat1", "Concat(axis=1)", "(N,", "8)", "0"]
    assert lines[-1] == "83 parameters"


def test_values_that_nothing_needs_any_more_are_let_go():
    net = residual()
    values = {"x": X}
    net.walk(net.run(), net.pass_arrays(), values, forget=net.order.last_uses())
    assert list(values) == net.order.outputs


def with_losses(**options):
    """A two-headed graph: labels, numbers that are also an input, and sample weights."""
    g = pnn.Graph(seed=0, **options)
    x, labels, weight = g.input("x"), g.input("labels"), g.input("weight")
    h = pnn.Tanh()(pnn.Affine(6, 4)(x))
    classify = pnn.SoftmaxWithLoss(label_smoothing=0.1)(pnn.Affine(4, 3)(h), labels, weight, name="classify")
    restore = pnn.SigmoidWithLoss()(pnn.Affine(4, 6)(h), pnn.Sigmoid()(x), name="restore")
    g.output(pnn.Add()(classify, pnn.Mul()(restore, g.input("share")), name="loss"))
    return g


WEIGHT = RNG.uniform(0.5, 2.0, 60)


def test_losses_are_nodes(xp):
    g = with_losses(xp=xp)
    x, labels = xp.asarray(X), xp.asarray(T, dtype=xp.place.index_dtype)
    assert g.forward(x=x, labels=labels, weight=xp.asarray(WEIGHT, dtype=xp.float32), share=0.5).shape == ()
    g.backward()
    assert set(g.gradients) == {*g.order.values(), *g.parameters} - {"labels", "weight"}
    assert '-->|"(60,) mean' in g.to_mermaid()
    assert "labels" not in g.explain()
    reference = with_losses()
    reference.forward(x=X, labels=T, weight=WEIGHT, share=0.5)
    reference.backward()
    for name, gradient in reference.gradients.items():
        np.testing.assert_allclose(to_numpy(g.gradients[name]), gradient, rtol=2e-4, atol=1e-6)


def test_gradients_through_losses_are_those_of_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    g = with_losses(dtype="float64")
    x = X.astype("float64")
    loss = g.forward(x=x, labels=T, weight=WEIGHT, share=0.5)
    g.backward()
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in {"x": x, **g.parameters}.items()}
    w, t = torch.tensor(WEIGHT), torch.tensor(T)

    def affine(name, h):
        return h @ theirs[f"{name}.W"] + theirs[f"{name}.b"]

    h = torch.tanh(affine("affine1", theirs["x"]))
    each = functional.cross_entropy(affine("affine2", h), t, reduction="none", label_smoothing=0.1)
    restored = functional.binary_cross_entropy_with_logits(affine("affine3", h), torch.sigmoid(theirs["x"]))
    expected = (each * w).sum() / w.sum() + 0.5 * restored
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-12)
    for name, tensor in theirs.items():
        np.testing.assert_allclose(g.gradients[name], tensor.grad, rtol=1e-10, atol=1e-14)


def test_a_graph_with_losses_comes_back_from_file_and_text(tmp_path):
    g = with_losses(dtype="float64")
    feeds = {"x": X, "labels": T, "weight": WEIGHT, "share": 0.5}
    expected = float(g.forward(**feeds))
    g.save(tmp_path / "g.safetensors")
    assert float(pnn.load(tmp_path / "g.safetensors").forward(**feeds)) == expected
    text = g.to_postfix()
    assert "SoftmaxWithLoss(label_smoothing=0.1))=classify" in text
    back = pnn.Graph.from_postfix(text, dtype="float64", seed=0)
    assert back.to_postfix() == text
    assert float(back.forward(**feeds)) == expected


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (pnn.MeanSquaredError(), lambda y, t: np.mean((y - t) ** 2)),
        (pnn.MeanAbsoluteError(), lambda y, t: np.mean(abs(y - t))),
        (pnn.Huber(), lambda y, t: np.mean(np.where(abs(y - t) < 1, (y - t) ** 2 / 2, abs(y - t) - 0.5))),
    ],
)
def test_targets_that_are_computed_get_their_gradient(loss, formula):
    g = pnn.Graph(dtype="float64")
    y, t = g.input("y"), g.input("t")
    g.output(loss(y, pnn.Exp()(t)))
    a, b = RNG.standard_normal((2, 4, 3))
    assert float(g.forward(y=a, t=b)) == pytest.approx(formula(a, np.exp(b)), rel=1e-14)
    g.backward()
    expected = numerical_gradient(lambda t: formula(a, np.exp(t)), b)
    np.testing.assert_allclose(g.gradients["t"], expected, rtol=1e-7, atol=1e-9)


def unfinished():
    g = pnn.Graph()
    return g, g.input("a"), g.input("b")


def classes(t):
    g = pnn.Graph()
    g.output(pnn.SoftmaxWithLoss()(g.input("y"), g.input("t")))
    return g.forward(y=np.eye(3), t=np.asarray(t))


def numbers(t):
    g = pnn.Graph()
    g.output(pnn.MeanSquaredError()(g.input("y"), g.input("t")))
    return g.forward(y=np.ones((3, 1)), t=t)


def mistakes():
    g, a, b = unfinished()
    done = apples()
    other = pnn.Graph().input("c")
    return {
        "unused input": (lambda: g.output(pnn.Neg()(a)), ValueError, "the node b is not used"),
        "another graph": (lambda: pnn.Add()(a, other), ValueError, "the node c is of another graph"),
        "name taken": (lambda: g.input("a"), ValueError, "there is a node a already"),
        "not a node": (lambda: pnn.Add()(a, 3.0), TypeError, "Add() is called on the nodes of a graph"),
        "no output": (lambda: g.forward(a=1.0), ValueError, "no output yet"),
        "outputs of nothing": (lambda: g.output(), ValueError, "at least one output"),
        "grown after its output": (lambda: done.input("d"), ValueError, "cannot grow"),
        "missing feed": (lambda: done.forward(apple=1.0), TypeError, "needs values for apple, n, tax, got apple"),
        "misnamed feed": (lambda: done.forward(apple=1.0, n=2.0, taxi=1.0), TypeError, "got apple, n, taxi"),
        "backward before forward": (lambda: apples().backward(), RuntimeError, "forward pass before backward"),
        "shapes that do not fit": (
            lambda: done.forward(apple=np.ones(2), n=np.ones(3), tax=1.0),
            pnn.ShapeError,
            "node mul1: ",
        ),
        "too many inputs": (lambda: pnn.ReLU()(a, b), ValueError, "ReLU() does not take 2 inputs"),
        "too few inputs": (lambda: pnn.Sequential(pnn.Add()), ValueError, "Add() does not take 1 input"),
        "a name of two lines": (lambda: g.input("a\nb"), ValueError, "needs to be one line"),
        "a path that branches": (
            lambda: pnn.Sequential(pnn.Branch(2)),
            ValueError,
            "layer 0: Branch() has 2 outputs; use a Graph",
        ),
        "a row that ends in a loss": (
            lambda: pnn.Sequential(pnn.Affine(2, 2), pnn.SoftmaxWithLoss()),
            ValueError,
            "SoftmaxWithLoss() does not take 1 input",
        ),
        "computed labels": (
            lambda: g.output(pnn.SoftmaxWithLoss()(a, pnn.Neg()(b))),
            ValueError,
            "the node softmaxwithloss1 has no derivative by neg1: it needs an input for itself",
        ),
        "labels with another use": (
            lambda: g.output(pnn.SoftmaxWithLoss()(pnn.Add()(a, b), b)),
            ValueError,
            "has no derivative by b",
        ),
        "labels out of range": (lambda: classes([0, 1, 3]), pnn.LabelError, "labels from 0 to 2, got 3"),
        "labels that are no integers": (lambda: classes([0.0, 1.0, 2.0]), pnn.DTypeError, "needs integer labels"),
        "labels of another shape": (
            lambda: classes([0, 1]),
            pnn.ShapeError,
            "node softmaxwithloss1: SoftmaxWithLoss needs t of shape (3,) or (3, 3), got (2,)",
        ),
        "numbers as labels": (lambda: classes(3), pnn.ShapeError, "needs t of shape (3,) or (3, 3), got ()"),
        "targets of another shape": (
            lambda: numbers(np.ones(3)),
            pnn.ShapeError,
            "node meansquarederror1: MeanSquaredError needs t of shape (3, 1), as y has, got (3,)",
        ),
        "several inputs to predict": (
            lambda: done.predict(np.ones((2, 2))),
            TypeError,
            "a mapping by apple, n, tax, got an array",
        ),
    }


@pytest.mark.parametrize("name", list(mistakes()))
def test_mistakes_name_the_node(name):
    call, kind, message = mistakes()[name]
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_an_array_output_needs_its_derivative():
    g = apples()
    g.forward(apple=np.ones(3), n=2.0, tax=1.0)
    with pytest.raises(pnn.ShapeError, match=r"a derivative of shape \(3,\)"):
        g.backward()
    with pytest.raises(pnn.ShapeError, match=r"of shape \(3,\) for mul2, got \(2,\)"):
        g.backward(np.ones(2))
