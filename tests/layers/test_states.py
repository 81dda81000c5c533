"""Arrays that a pass changes: what a layer reads and writes, alone."""

import copy
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy

X = np.random.default_rng(0).standard_normal((4, 2)).astype("float32")


class Tally(pnn.Layer):
    """Adds the sum of all rows so far; counts its passes in another state."""

    def __init__(self):
        super().__init__()
        self.states["sum"] = pnn.State((2,))
        self.states["passes"] = pnn.State((), 10.0)

    def forward_pass(self, run, params, x):
        new = run.states["sum"] + run.place.xp.sum(x, axis=0)
        run.update("sum", new)
        run.update("passes", run.states["passes"] + 1.0)
        return x + new, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_a_layer_alone_keeps_what_training_makes_of_its_states(xp):
    layer, x = Tally(), xp.asarray(X)
    layer.forward(x)
    np.testing.assert_allclose(to_numpy(layer.forward(x)), X + 2 * X.sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(to_numpy(layer.states["sum"].value), 2 * X.sum(axis=0), rtol=1e-6)
    assert float(layer.states["passes"].value) == 12.0
    assert layer.states["passes"].value.shape == ()
    assert layer.states["sum"].value.dtype == xp.float32


def test_outside_training_nothing_is_written(xp):
    layer, x = Tally(), xp.asarray(X)
    layer.forward(x)
    before = to_numpy(layer.states["sum"].value).copy()
    for _ in range(2):
        np.testing.assert_allclose(to_numpy(layer.forward(x, training=False)), X + 2 * X.sum(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(layer.states["sum"].value), before)


def test_a_second_update_follows_the_first_in_one_run():
    layer, run = Tally(), pnn.Run(pnn.Place(), training=True)
    run.forward(layer, {}, X)
    y, _ = run.forward(layer, {}, X)
    np.testing.assert_allclose(y, X + 2 * X.sum(axis=0), rtol=1e-6)
    assert layer.states["sum"].value is None  # a run writes nothing
    np.testing.assert_allclose(run.changed[layer.states["passes"]], 12.0)


class Last(Tally):
    """Remembers what it got."""

    def __init__(self):
        super().__init__()
        self.states["last"] = pnn.State((4, 2))

    def forward_pass(self, run, params, x):
        run.update("last", x)
        return x, None


def test_a_state_is_no_memory_of_the_caller():
    layer, x = Last(), X.copy()
    layer.forward(x)
    x[...] = 0.0
    np.testing.assert_array_equal(layer.states["last"].value, X)


class Wrong(Tally):
    def __init__(self, act):
        super().__init__()
        self._act = act

    def forward_pass(self, run, params, x):
        run.update("sum", run.states["sum"] + 1.0)
        self._act(run, x)
        return x, None


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda run, x: run.states["mean"], KeyError, "there is no state 'mean' here; there are sum, passes"),
        (lambda run, x: run.update("mean", x), KeyError, "there is no state 'mean' here; there are sum, passes"),
        (lambda run, x: run.update("sum", x), pnn.ShapeError, r"the state sum needs shape \(2,\), got \(4, 2\)"),
        (lambda run, x: run.update("sum", x[0].astype("float64")), pnn.DTypeError, "the state sum needs dtype"),
    ],
)
def test_mistakes_are_named_and_change_nothing(act, error, words):
    layer = Wrong(act)
    with pytest.raises(error, match=words):
        layer.forward(X)
    np.testing.assert_array_equal(layer.states["sum"].value, [0.0, 0.0])


def test_a_number_is_a_value():
    layer = Wrong(lambda run, x: run.update("passes", 3))
    layer.forward(X)
    assert float(layer.states["passes"].value) == 3.0


def test_a_pass_called_without_its_run_says_how():
    with pytest.raises(KeyError, match=r"called by run.forward\(layer, params, x\)"):
        Tally().forward_pass(pnn.Run(pnn.Place()), {}, X)


@pytest.mark.parametrize("made", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_goes_on_by_itself(made):
    layer = Tally()
    layer.forward(X)
    other = made(layer)
    other.forward(X)
    assert [float(each.states["passes"].value) for each in (layer, other)] == [11.0, 12.0]


class Wrapper(pnn.Layer):
    """Has a layer within, of which it has the parameters and states."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.parameters, self.states = inner.parameters, inner.states

    def forward_pass(self, run, params, x):
        y, saved = run.forward(self.inner, params, x)
        assert set(run.states) == set(self.states)  # its own again
        return y, saved

    def backward_pass(self, run, params, saved, dy):
        return self.inner.backward_pass(run, params, saved, dy)


def test_a_layer_within_a_layer():
    inner = pnn.BatchNorm(2)
    Wrapper(inner).forward(X)
    np.testing.assert_allclose(inner.states["mean"].value, 0.1 * X.mean(axis=0), rtol=1e-5)
