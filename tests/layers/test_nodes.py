"""The nodes of computational graphs: the numbers of the source documents, mirrors, broadcasting, and mistakes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import portable_nn as pnn
from portable_nn.arrays import to_numpy


def array(xp, values):
    return xp.asarray(values, dtype=xp.float32)


def numbers(arrays):
    return [pytest.approx(float(a), rel=1e-6) for a in arrays]


def test_two_apples(xp):
    price, number, tax = array(xp, 100.0), array(xp, 2.0), array(xp, 1.1)
    buy, pay = pnn.Mul(), pnn.Mul()
    assert numbers([pay.forward(buy.forward(price, number), tax)]) == [220.0]
    d_apples, d_tax = pay.backward(array(xp, 1.0))
    assert numbers([d_apples, d_tax]) == [1.1, 200.0]
    assert numbers(buy.backward(d_apples)) == [2.2, 110.0]


def test_two_apples_and_three_oranges(xp):
    apples, oranges, add, pay = pnn.Mul(), pnn.Mul(), pnn.Add(), pnn.Mul()
    apple_cost = apples.forward(array(xp, 100.0), array(xp, 2.0))
    orange_cost = oranges.forward(array(xp, 150.0), array(xp, 3.0))
    goods = add.forward(apple_cost, orange_cost)
    assert numbers([apple_cost, orange_cost, goods]) == [200.0, 450.0, 650.0]
    assert numbers([pay.forward(goods, array(xp, 1.1))]) == [715.0]
    d_goods, d_tax = pay.backward(array(xp, 1.0))
    assert numbers([d_goods, d_tax]) == [1.1, 650.0]
    d_apples, d_oranges = add.backward(d_goods)
    assert numbers(apples.backward(d_apples)) == [2.2, 110.0]
    assert numbers(oranges.backward(d_oranges)) == [3.3, 165.0]


def test_square_of_a_sum(xp):
    add, square = pnn.Add(), pnn.Power(2)
    assert float(square.forward(add.forward(array(xp, 3.0), array(xp, -5.0)))) == 4.0
    assert [float(d) for d in add.backward(square.backward(array(xp, 1.0)))] == [-4.0, -4.0]


def test_repeat_and_sum_are_mirrors(xp):
    row, table = array(xp, [[1, 2, 3]]), array(xp, [[1, 2, 3], [4, 5, 6]])
    repeat, total = pnn.Repeat(2, axis=0), pnn.Sum(axis=0, keepdims=True)
    np.testing.assert_array_equal(to_numpy(repeat.forward(row)), [[1, 2, 3], [1, 2, 3]])
    np.testing.assert_array_equal(to_numpy(repeat.backward(table)), [[5, 7, 9]])
    np.testing.assert_array_equal(to_numpy(total.forward(table)), [[5, 7, 9]])
    np.testing.assert_array_equal(to_numpy(total.backward(row)), [[1, 2, 3], [1, 2, 3]])


def test_repeat_puts_copies_side_by_side(xp):
    y = pnn.Repeat(2, axis=1).forward(array(xp, [[1, 2], [3, 4]]))
    np.testing.assert_array_equal(to_numpy(y), [[1, 1, 2, 2], [3, 3, 4, 4]])


def test_mean_shares_its_derivative(xp):
    mean = pnn.Mean(axis=1)
    np.testing.assert_array_equal(to_numpy(mean.forward(array(xp, [[1, 3], [5, 9]]))), [2, 7])
    np.testing.assert_array_equal(to_numpy(mean.backward(array(xp, [4, 6]))), [[2, 2], [3, 3]])


def test_branch_adds_what_comes_back(xp):
    branch = pnn.Branch(3)
    assert [float(y) for y in branch.forward(array(xp, 2.0))] == [2.0, 2.0, 2.0]
    assert float(branch.backward(array(xp, 1.0), array(xp, 10.0), array(xp, 100.0))) == 111.0


def test_split_and_concat_are_mirrors(xp):
    x = array(xp, [[1, 2, 3], [4, 5, 6]])
    split, concat = pnn.Split([1, 2]), pnn.Concat()
    left, right = split.forward(x)
    np.testing.assert_array_equal(to_numpy(left), [[1], [4]])
    np.testing.assert_array_equal(to_numpy(right), [[2, 3], [5, 6]])
    np.testing.assert_array_equal(to_numpy(concat.forward(left, right)), to_numpy(x))
    np.testing.assert_array_equal(to_numpy(split.backward(*concat.backward(x))), to_numpy(x))


def test_transpose_and_reshape_move_numbers(xp):
    transpose, reshape = pnn.Transpose((2, 0, 1)), pnn.Reshape([3, 2])
    x = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(to_numpy(transpose.forward(array(xp, x))), np.moveaxis(x, 2, 0))
    np.testing.assert_array_equal(to_numpy(transpose.backward(array(xp, np.moveaxis(x, 2, 0)))), x)
    np.testing.assert_array_equal(to_numpy(reshape.forward(array(xp, x))), x.reshape(2, 3, 2))
    np.testing.assert_array_equal(to_numpy(reshape.backward(array(xp, x.reshape(2, 3, 2)))), x)


@pytest.mark.parametrize(("exponent", "slope"), [(0, 0.0), (0.0, 0.0), (1, 1.0), (2, 0.0), (2.5, 0.0)])
def test_powers_of_zero_have_their_slopes(exponent, slope, xp):
    layer = pnn.Power(exponent)
    assert float(layer.forward(array(xp, 0.0))) == (1.0 if exponent == 0 else 0.0)
    assert float(layer.backward(array(xp, 1.0))) == slope


BINARY = {
    "Add": (pnn.Add, lambda a, b: a + b),
    "Sub": (pnn.Sub, lambda a, b: a - b),
    "Mul": (pnn.Mul, lambda a, b: a * b),
    "Div": (pnn.Div, lambda a, b: a / b),
}


def assert_as_torch(layer, function, *inputs):
    """The layer, on NumPy in float64, has the values and derivatives of a function of torch tensors."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = function(*tensors)
    y = layer.forward(*inputs)
    dy = np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape)
    found = layer.backward(dy)
    gradients = torch.autograd.grad(expected, tensors, torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    for x, dx, gradient in zip(inputs, found if isinstance(found, tuple) else (found,), gradients, strict=True):
        assert dx.shape == x.shape
        np.testing.assert_allclose(dx, gradient.numpy(), rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(BINARY)),
    shapes=mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=4, min_side=0, max_side=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_broadcasting_agrees_with_torch(name, shapes, seed):
    rng = np.random.default_rng(seed)
    kind, function = BINARY[name]
    inputs = [np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in shapes.input_shapes]
    assert kind().output_shape(*shapes.input_shapes) == shapes.result_shape
    assert_as_torch(kind(), function, *inputs)


@settings(deadline=None)
@given(
    stacks=mutually_broadcastable_shapes(num_shapes=2, min_dims=0, max_dims=2, min_side=0, max_side=3),
    sizes=st.tuples(*[st.integers(0, 3)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_of_stacks_agree_with_torch(stacks, sizes, seed):
    rng = np.random.default_rng(seed)
    (n, k, m), (stack, other) = sizes, stacks.input_shapes
    a, b = rng.standard_normal((*stack, n, k)), rng.standard_normal((*other, k, m))
    assert pnn.MatMul().output_shape(a.shape, b.shape) == (*stacks.result_shape, n, m)
    assert_as_torch(pnn.MatMul(), lambda a, b: a @ b, a, b)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 1), ()])
@pytest.mark.parametrize("kind", [pnn.Sum, pnn.Mean])
def test_reductions_agree_with_torch(kind, axis, keepdims):
    def function(x):
        axes = tuple(range(x.ndim)) if axis is None else axis
        return getattr(x, kind.__name__.lower())(axes, keepdim=keepdims) if axes != () else x * 1.0

    assert_as_torch(kind(axis, keepdims), function, np.random.default_rng(0).standard_normal((2, 3, 4)))


def test_whole_arrays_of_no_axis_are_their_own_sum(xp):
    for layer in pnn.Sum(), pnn.Mean():
        assert float(layer.forward(array(xp, 3.0))) == 3.0
        assert float(layer.backward(array(xp, 2.0))) == 2.0


MADE_WRONGLY = {
    "Power": (lambda: pnn.Power(float("nan")), ValueError, "finite exponent, got nan"),
    "Branch": (lambda: pnn.Branch(1), pnn.ShapeError, "at least 2 outputs, got n=1"),
    "Reshape, size": (lambda: pnn.Reshape([2, 0]), pnn.ShapeError, "positive integer, got 0"),
    "Reshape, number": (lambda: pnn.Reshape(2), pnn.ShapeError, "shape of whole numbers, got 2"),
    "Transpose": (lambda: pnn.Transpose((0, 2)), pnn.ShapeError, r"each of 0 to 1 once, got \(0, 2\)"),
    "Concat": (lambda: pnn.Concat(0.5), pnn.ShapeError, "axis of whole numbers, got 0.5"),
    "Split, one": (lambda: pnn.Split(1), pnn.ShapeError, "at least 2 sections, got 1"),
    "Split, size": (lambda: pnn.Split([2, -1]), pnn.ShapeError, "positive integer, got -1"),
    "Sum": (lambda: pnn.Sum("rows"), pnn.ShapeError, "axis of whole numbers, got 'rows'"),
    "Mean": (lambda: pnn.Mean((0, 1.5)), pnn.ShapeError, "axis of whole numbers, got 1.5"),
    "Repeat": (lambda: pnn.Repeat(0), pnn.ShapeError, "positive integer, got 0"),
    "MatMul": (lambda: pnn.MatMul(3), pnn.ShapeError, "both inputs and outputs for a weight, got 3 and None"),
}


@pytest.mark.parametrize("name", MADE_WRONGLY)
def test_wrong_arguments_are_named(name):
    make, error, message = MADE_WRONGLY[name]
    with pytest.raises(error, match=message):
        make()


MISFITS = {
    "Add": (pnn.Add(), [(2, 3), (2,)]),
    "Mul": (pnn.Mul(), [(0,), (2,)]),
    "MatMul, inner": (pnn.MatMul(), [(2, 3), (2, 3)]),
    "MatMul, stacks": (pnn.MatMul(), [(2, 2, 3), (3, 3, 2)]),
    "MatMul, vector": (pnn.MatMul(), [(2, 3), (3,)]),
    "MatMul, one": (pnn.MatMul(), [(2, 3)]),
    "MatMul, weight": (pnn.MatMul(3, 2), [(2, 3), (3, 2)]),
    "Sum": (pnn.Sum(2), [(2, 3)]),
    "Sum, twice": (pnn.Sum((1, -1)), [(2, 3)]),
    "Repeat": (pnn.Repeat(2, axis=-3), [(2, 3)]),
    "Repeat, number": (pnn.Repeat(2), [()]),
    "Reshape": (pnn.Reshape([2, 2]), [(2, 3)]),
    "Reshape, number": (pnn.Reshape([1]), [()]),
    "Transpose": (pnn.Transpose(), [(3,)]),
    "Transpose, axes": (pnn.Transpose((1, 0)), [(1, 2, 3)]),
    "Concat": (pnn.Concat(), [(2, 3), (3, 3)]),
    "Concat, axes": (pnn.Concat(0), [(2,), (2, 3)]),
    "Split": (pnn.Split(2), [(2, 3)]),
    "Split, sizes": (pnn.Split([1, 1]), [(2, 3)]),
    "Split, axis": (pnn.Split(2, axis=2), [(2, 3)]),
}


@pytest.mark.parametrize("name", MISFITS)
def test_shapes_that_do_not_fit_are_named(name):
    layer, shapes = MISFITS[name]
    with pytest.raises(pnn.ShapeError) as caught:
        layer.forward(*map(np.ones, shapes))
    assert type(layer).__name__ in str(caught.value)
    assert all(str(shape) in str(caught.value) for shape in shapes)
