import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import to_numpy
from portable_nn.testing import check_layer, check_network, numerical_gradient

RNG = np.random.default_rng(0)


def net(**options):
    return pnn.Sequential(
        pnn.Affine(4, 3),
        pnn.Sigmoid(),
        pnn.Dropout(0.3),
        pnn.Affine(3, 2),
        loss=pnn.SoftmaxWithLoss(),
        seed=0,
        **options,
    )


X, T = RNG.standard_normal((3, 4)).astype(np.float32), np.array([0, 1, 1])


def test_the_gradient_of_a_known_function(xp64):
    x = xp64.asarray([[0.5, -1.0], [2.0, 0.0]], dtype=xp64.float64)
    found = numerical_gradient(lambda x: xp64.sum(xp64.exp(x)), x)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.exp([[0.5, -1.0], [2.0, 0.0]]), rtol=1e-9)


def test_the_function_gets_float64_in_the_namespace_of_x(xp):
    if xp.backend.device == "no_float64":
        with pytest.raises(pnn.DTypeError, match="no float64"):
            numerical_gradient(xp.sum, xp.asarray([1, 2]))
        return
    seen = []
    numerical_gradient(lambda x: seen.append(x) or xp.sum(x), xp.asarray([1, 2]))
    assert {str(x.dtype).rpartition(".")[2] for x in seen} == {"float64"}
    assert all(xp.place.holds(x) for x in seen)


def test_large_and_empty_and_0_d_inputs():
    np.testing.assert_allclose(numerical_gradient(lambda x: (x * x).sum(), np.array([1e8])), [2e8], rtol=1e-8)
    assert numerical_gradient(lambda x: x.sum(), np.zeros((0, 3))).shape == (0, 3)
    assert numerical_gradient(lambda x: 3 * x, np.array(2.0)) == pytest.approx(3)


def test_a_function_of_more_than_one_number_is_refused():
    with pytest.raises(pnn.ShapeError, match="one number"):
        numerical_gradient(lambda x: x, np.ones(2))


def test_an_error_inside_the_function_leaves_x_as_it_was():
    x = np.ones(3)
    with pytest.raises(ZeroDivisionError):
        numerical_gradient(lambda x: 1 / 0, x)
    np.testing.assert_array_equal(x, np.ones(3))


class WrongLater(pnn.Layer):
    """Halves its input, and errs in the gradient of one element."""

    def forward_pass(self, run, params, x):
        return x * 0.5, None

    def backward_pass(self, run, params, saved, dy):
        wrong = np.ones(dy.shape)
        wrong[-1, -1] = 1.0 + 1e-6
        return 0.5 * dy * wrong, {}


def test_an_error_of_a_millionth_in_one_element_is_found():
    report = check_layer(WrongLater(), np.ones((2, 2)), raises=False)
    assert not report.ok
    assert {row.oracle for row in report.rows} == {row.oracle for row in report.rows if not row.ok}
    with pytest.raises(AssertionError, match=r"WrongLater\(\): gradients by hand against"):
        check_layer(WrongLater(), np.ones((2, 2)))
    assert check_layer(WrongLater(), np.ones((2, 2)), tolerance=1e-5, raises=False).rows[0].ok


class Flat(pnn.Layer):
    """Gives gradients of another shape, which broadcasting would hide."""

    def forward_pass(self, run, params, x):
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy[:, :1], {}


def test_gradients_of_another_shape_are_wrong():
    with pytest.raises(AssertionError, match=r"x, shape \(2, 1\)"):
        check_layer(Flat(), np.ones((2, 2)))


class Not(pnn.Layer):
    """Gives NaN gradients."""

    def forward_pass(self, run, params, x):
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy * np.nan, {}


def test_nan_gradients_are_wrong():
    assert not check_layer(Not(), np.ones((2, 2)), raises=False).ok


def test_checking_changes_neither_layer_nor_inputs(xp64):
    layer = pnn.Sequential(pnn.Affine(4, 3), seed=0, xp=xp64)[0]
    W = np.array(to_numpy(layer.params["W"]))
    x = X.copy()
    check_layer(layer, x, xp=xp64.backend.library, device=xp64.backend.device)
    np.testing.assert_array_equal(to_numpy(layer.params["W"]), W)
    assert layer.grads == {}
    np.testing.assert_array_equal(x, X)


def test_a_network_is_checked_parameter_by_parameter_wherever_it_lives(xp):
    network = net(xp=xp)
    network.freeze("0.b")
    before = [np.array(to_numpy(a)) for a in network.arrays()]
    report = check_network(network, X, T)
    assert [row.name for row in report.rows] == ["0.W", "0.b", "3.W", "3.b"]
    assert all(row.mean_difference < 1e-9 for row in report.rows)
    for a, b in zip(network.arrays(), before, strict=True):
        np.testing.assert_array_equal(to_numpy(a), b)


def test_a_wrong_gradient_in_a_network_is_found(monkeypatch):
    network = net()
    monkeypatch.setattr(pnn.Sigmoid, "backward_pass", lambda self, run, params, saved, dy: (dy, {}))
    report = check_network(network, X, T, raises=False)
    assert {row.name: row.ok for row in report.rows} == {"0.W": False, "0.b": False, "3.W": True, "3.b": True}


def test_a_check_at_a_kink_says_so():
    with pytest.raises(AssertionError, match=r"x\[0, 0\] = 0 is a kink: the slope is .* before and .* after it; move"):
        check_layer(pnn.ReLU(), np.zeros((2, 3)))


def test_a_wrong_gradient_elsewhere_is_no_kink():
    class Wrong(pnn.Sigmoid):
        def backward_pass(self, run, params, saved, dy):
            return 2 * super().backward_pass(run, params, saved, dy)[0], {}

    with pytest.raises(AssertionError) as raised:
        check_layer(Wrong(), np.ones((2, 3)))
    assert "kink" not in str(raised.value)
