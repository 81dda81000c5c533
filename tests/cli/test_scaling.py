from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import portable_nn as pnn
from portable_nn.cli.scaling import Scaling, dtype_of, fold_inputs, fold_outputs


@pytest.fixture
def data() -> Any:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((50, 4)) * (1e-3, 1, 40, 1e3) + (0.01, 0, -300, 5e3)).astype(np.float32)


def network(place: Any, *, hidden: bool = True) -> pnn.Sequential:
    layers = [pnn.Affine(4, 6), pnn.Tanh(), pnn.Affine(6, 2)] if hidden else [pnn.Affine(4, 2)]
    return pnn.Sequential(*layers, seed=0, xp=place.xp, device=place.device, dtype=place.dtype_name)


def test_columns_are_scaled_as_scikit_learn_does(data: Any) -> None:
    other = data + np.float32(2)
    expected = StandardScaler().fit(data.astype(np.float64)).transform(other.astype(np.float64))
    scaled = Scaling(data)(other)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3, 3e38, 1e-40])
def test_a_constant_column_says_nothing(value: float) -> None:
    column = np.full((1001, 1), value, dtype=np.float32)
    np.testing.assert_array_equal(Scaling(column)(np.asarray([[value], [-5.0]], dtype=np.float32)), [[0.0], [0.0]])


def test_a_column_that_hardly_varies_is_constant() -> None:
    column = np.array([[0.0], [1e-38]], dtype=np.float32)
    np.testing.assert_array_equal(Scaling(column)(column), [[0.0], [0.0]])


def test_a_network_takes_raw_features_after_folding(xp64: Any, data: Any) -> None:
    place = pnn.Place(xp64, xp64.place.device, "float64")
    net, scaling = network(place), Scaling(data)
    scaled = (data.astype(np.float64) - data.astype(np.float64).mean(0)) / data.astype(np.float64).std(0)
    before = pnn.to_numpy(net.predict(scaled))
    fold_inputs(net, scaling)
    np.testing.assert_allclose(pnn.to_numpy(net.predict(data)), before, rtol=1e-11, atol=1e-12)


def test_folding_in_float32_keeps_the_predictions(data: Any) -> None:
    net, scaling = network(pnn.Place()), Scaling(data)
    before = net.predict(scaling(data))
    fold_inputs(net, scaling)
    assert net.parameters["0.W"].dtype == np.float32
    np.testing.assert_allclose(net.predict(data), before, atol=1e-5)


def test_a_constant_column_has_no_weight_after_folding(data: Any) -> None:
    data[:, 1] = 0.1
    net, scaling = network(pnn.Place()), Scaling(data)
    before = net.predict(scaling(data))
    fold_inputs(net, scaling)
    data[:, 1] = 1e5
    np.testing.assert_allclose(net.predict(data), before, atol=1e-5)


@pytest.mark.parametrize("hidden", [True, False])
def test_a_network_gives_raw_targets_after_folding(data: Any, hidden: bool) -> None:
    net = network(pnn.Place(dtype="float64"), hidden=hidden)
    t = np.random.default_rng(1).standard_normal((50, 2)) * (1e-4, 300) + (7, -1e4)
    expected = net.predict(data) * t.std(0) + t.mean(0)
    fold_outputs(net, Scaling(t))
    np.testing.assert_allclose(net.predict(data), expected, rtol=1e-12)


def test_a_constant_target_is_given_as_it_was(data: Any) -> None:
    net = network(pnn.Place())
    fold_outputs(net, Scaling(np.full((9, 2), 41.5, dtype=np.float32)))
    np.testing.assert_array_equal(net.predict(data), np.full((50, 2), 41.5))


def test_one_affine_layer_is_folded_at_both_ends(data: Any) -> None:
    net, t = network(pnn.Place(dtype="float64"), hidden=False), np.random.default_rng(1).uniform(50, 90, (50, 2))
    x = data.astype(np.float64)
    expected = net.predict((x - x.mean(0)) / x.std(0)) * t.std(0) + t.mean(0)
    fold_inputs(net, Scaling(data))
    fold_outputs(net, Scaling(t))
    np.testing.assert_allclose(net.predict(data), expected, rtol=1e-10)


@pytest.mark.parametrize("mean", [0.0, 1e7, -1e12])
def test_a_column_far_from_zero_is_scaled_to_its_last_digit(mean: float) -> None:
    rows = np.random.default_rng(0).standard_normal((200, 1))
    expected = (rows - rows.mean()) / rows.std()
    np.testing.assert_allclose(Scaling(mean + rows)(mean + rows), expected, atol=abs(mean) * 2.0**-51 + 1e-13)


def test_numbers_whose_squares_overflow_are_scaled() -> None:
    data = np.asarray([[1e300], [-1e300], [1e300], [-1e300]])
    np.testing.assert_allclose(Scaling(data)(data), [[1.0], [-1.0], [1.0], [-1.0]])


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ([1e7, 1e7 + 1], "float64"),
        ([1e3, 1e3 + 1], "float32"),
        ([-3e7, 3e7], "float32"),
        ([1e39, -1e39], "float64"),
        ([5.0, 5.0], "float32"),
    ],
)
def test_the_data_type_is_the_smallest_that_holds_the_digits(column: list[float], dtype: str) -> None:
    assert dtype_of(np.asarray(column)[:, None], np.zeros((2, 1))) == dtype
