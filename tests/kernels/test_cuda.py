"""The CUDA kernels without a GPU.

CUDA's own compilers take their text, and a harness runs it on the CPU: the module for CuPy is loaded with a device in
the place of CuPy that works on NumPy's arrays, and all that it does is held to the portable kernels.
"""

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.kernels import PORTABLE, PORTABLE_KERNELS, Kernels, Plan, Recorder, _dispatch
from portable_nn.kernels.fast import _cuda
from portable_nn.kernels.portable import updates

pytestmark = pytest.mark.slow

CHARACTERS = {"float32": "f", "float64": "d"}
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
SHAPES = [(0, 3), (1, 1), (1, 7), (33, 10), (100, 50), (257, 1000), (3, 1500), (4200, 3)]
LAYOUTS = ("contiguous", "transposed", "every second")


def load(path, name):
    """Return the module of a file, newly executed."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FOLDER = Path(__file__).parent / "cuda_harness"
harness, cases, compilers = (load(FOLDER / f"{name}.py", f"cuda_{name}") for name in ("device", "cases", "compilers"))
CASES, ELEMENTWISE, SUMMED, Drawer = cases.CASES, cases.ELEMENTWISE, cases.SUMMED, cases.Drawer


@pytest.fixture(scope="session")
def device(tmp_path_factory):
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip("the kernels run on the CPU where there is Linux and g++")
    device = harness.Device(tmp_path_factory.mktemp("cuda"), CHARACTERS.values())
    yield device
    device.compiler.wait()


@pytest.fixture(scope="session")
def fast(device):
    """The module for CuPy, to which the device on the CPU is CuPy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", device)
        return load(Path(_cuda.__file__).parents[1] / "cupy.py", "cupy_on_the_cpu")


def raised(argument):
    """Return an argument with its floats in double precision."""
    floats = isinstance(argument, np.ndarray) and argument.dtype.kind == "f"
    return argument.astype(np.float64) if floats else argument


def assert_same(name, result, expected, tolerance):
    results, expected = ((x if isinstance(x, tuple) else (x,)) for x in (result, expected))
    for one, other in zip(results, expected, strict=True):
        assert one.shape == other.shape
        finite = np.abs(other[np.isfinite(other)])
        scale = finite.max(initial=0.0) if name in SUMMED else 1.0
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", CHARACTERS)
@pytest.mark.parametrize("name", CASES)
def test_same_result(fast, name, dtype, special, layout):
    kernel, portable = CASES[name].kernel(fast), CASES[name].portable
    draw = Drawer(dtype, layout, special)
    for shape in SHAPES if layout == "contiguous" and not special else SHAPES[:5]:
        arguments = CASES[name].arguments(draw, *shape)
        before = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        with np.errstate(all="ignore"):
            result, expected = kernel(*arguments), portable(*(arguments if special else map(raised, arguments)))
        assert_same(name, result, expected, (4 if special else 1) * TOLERANCE[dtype])  # then both are rounded so
        assert all(one.dtype in (dtype, "int64") for one in (result if isinstance(result, tuple) else [result]))
        for a, b in zip(arguments, before, strict=True):
            np.testing.assert_array_equal(a, b, err_msg="an argument was written")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_memory_that_is_given_away(fast, name, layout):
    kernel = CASES[name].kernel(fast)
    assert "out" in inspect.signature(kernel).parameters
    arguments = CASES[name].arguments(Drawer("float32"), 33, 10)
    expected = kernel(*arguments)
    parts = expected if isinstance(expected, tuple) else (expected,)
    memory = [cases.unwritten(part, layout) for part in parts]
    result = kernel(*arguments, out=tuple(memory) if isinstance(expected, tuple) else memory[0])
    assert_same(name, result, expected, 0.0)
    if layout == "contiguous":
        first = result[0] if isinstance(result, tuple) else result
        assert np.shares_memory(first, memory[0])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_overwriting_the_first_argument(fast, name):
    kernel = ELEMENTWISE[name].kernel(fast)
    assert name in fast.OVERWRITES
    x, *more = ELEMENTWISE[name].arguments(Drawer("float32"), 33, 10)
    expected = kernel(x, *more)
    assert kernel(x, *more, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_dropout_masks_are_those_of_every_backend(fast):
    for seed in range(20):
        key = tuple(int(word) for word in np.random.default_rng(seed).integers(-(2**31), 2**31, 2))
        arguments = (np.zeros((100, 7), "float32"), seed / 20, key, seed)
        np.testing.assert_array_equal(fast.dropout_mask(*arguments), PORTABLE.dropout_mask(*arguments))
        part = (arguments[0][40:60], seed / 20, (*key, 40, 20), seed)
        np.testing.assert_array_equal(fast.dropout_mask(*part), PORTABLE.dropout_mask(*arguments)[40:60])


NUMBERS = {"lr": 0.1, "momentum": 0.9, "epsilon": 1e-8, "beta1": 0.9, "beta2": 0.999}
NUMBERS |= {"decay": 0.99, "weight_decay": 0.01, "rate": 0.1, "limit": 0.5}


def test_every_update_is_done_in_place(fast):
    assert fast.IN_PLACE.keys() == set(updates.__all__)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", CHARACTERS)
@pytest.mark.parametrize("name", updates.__all__)
def test_same_update(fast, name, dtype, special, layout):
    portable, draw = PORTABLE_KERNELS[name], Drawer(dtype, layout, special)
    words = list(inspect.signature(portable).parameters)
    assert words == list(inspect.signature(fast.IN_PLACE[name]).parameters)
    numbers = [NUMBERS[word] for word in words if word in NUMBERS]
    squares = [word.startswith("square") for word in words if word not in NUMBERS]
    large = 600_000 if layout == "contiguous" and not special else 1_000
    for shapes in [(), ((0,),), ((large,),), ((33, 10), (1, 1), (7, 3, 5))]:
        lists = [[np.abs(draw(*s)) if square else draw(*s) for s in shapes] for square in squares]
        before = [[np.copy(a) for a in arrays] for arrays in lists]
        with np.errstate(all="ignore"):
            expected = portable(*([a if special else raised(a) for a in arrays] for arrays in before), *numbers)
            results = fast.IN_PLACE[name](*lists, *numbers)
        results, expected = ((x if isinstance(x, tuple) else (x,)) for x in (results, expected))
        written = {id(a) for arrays in results for a in arrays}
        assert written <= {id(a) for arrays in lists for a in arrays}
        for result, other in zip(results, expected, strict=True):
            assert_same(name, tuple(result), tuple(other), TOLERANCE[dtype])
        for arrays, old in zip(lists, before, strict=True):
            for a, b in zip(arrays, old, strict=True):
                assert id(a) in written or a.tobytes() == b.tobytes()


def test_gradients_within_the_norm_stay_as_they_are(fast):
    grads = [np.float32([3.0, 4.0])]
    assert fast.IN_PLACE["clip_by_global_norm"](grads, 5.0)[0] is grads[0]
    np.testing.assert_array_equal(grads[0], [3.0, 4.0])


SIZES = [1e-45, 1e-30, 1e-8, 1.0, 1e18, 5e20, 3e38, 1e140, 1e147, 1e200, 1e307]


@pytest.mark.parametrize("limit", [1e-30, 1e-3, 1.0, 1e10])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", CHARACTERS)
def test_the_norm_neither_overflows_nor_vanishes(fast, dtype, size, limit):
    if size > float(np.finfo(dtype).max):
        pytest.skip("there are no such numbers")
    rng = np.random.default_rng(0)
    numbers = [rng.uniform(-1, 1, (300, 40)), rng.uniform(-1e-3, 1e-3, 7), np.zeros(3)]
    grads = [(size * number).astype(dtype) for number in numbers]
    wide = np.concatenate([g.astype(np.float64).ravel() for g in grads])
    largest = np.abs(wide).max()
    norm = np.sqrt(np.sum((wide / largest) ** 2))  # of the numbers divided by the largest: all of it in float64
    results = fast.IN_PLACE["clip_by_global_norm"]([g.copy() for g in grads], limit)
    for result, g in zip(results, grads, strict=True):
        expected = g.astype(np.float64)
        if limit / largest < norm:
            expected = expected / largest / norm * limit
        # What is as small as the smallest number keeps few digits.
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype], atol=np.finfo(dtype).smallest_subnormal)


def test_updates_that_wait_are_done_as_one_after_the_other(fast, device):
    rng = np.random.default_rng(0)
    for names in [
        ("clip_by_value", "clip_by_global_norm", "add_l2", "adam"),
        ("clip_by_global_norm", "decay", "adam"),
        ("add_l2", "momentum"),
        ("clip_by_value", "nesterov"),
        ("clip_by_global_norm", "rmsprop"),
        ("clip_by_value", "clip_by_global_norm", "adagrad"),
        ("sgd", "sgd"),
    ]:
        shapes = (600_000,), (0,), (7, 3)
        lists = {word: [rng.uniform(0.1, 1.0, shape) for shape in shapes] for word in "pghmv"}
        one, other = ({word: [a.copy() for a in arrays] for word, arrays in lists.items()} for _ in range(2))
        together = fast.TOGETHER()
        device.launched.clear()
        with together:
            for name in names:
                for kernels, arrays in ((fast.IN_PLACE, one), (together.kernels, other)):
                    rule = _cuda.RULES[name]
                    words = inspect.signature(kernels[name]).parameters
                    numbers = [NUMBERS[word] for word in words if word in NUMBERS]
                    kernels[name](*(arrays[word] for word in rule.arrays.split()), *numbers)
            np.testing.assert_array_equal(other["p"][0], lists["p"][0])  # it waits
        for word in lists:
            for a, b in zip(one[word], other[word], strict=True):
                np.testing.assert_array_equal(a, b)


def test_updates_of_other_arrays_are_launches_of_their_own(fast):
    # clipping of two parts together, and the decay of one of them: as AdamW with groups
    rng = np.random.default_rng(0)
    grads, params = [rng.uniform(0.1, 1.0, size) for size in (5, 9)], [rng.uniform(0.1, 1.0, 5)]
    before = [array.copy() for array in (*grads, *params)]
    together = fast.TOGETHER()
    with together:
        together.kernels["clip_by_value"](grads, 0.5)
        together.kernels["decay"](params, 0.25)
    for array, due in zip((*grads, *params), before, strict=True):
        np.testing.assert_allclose(array, due * 0.75 if array is params[0] else np.minimum(due, 0.5))


def test_updates_that_are_not_in_cuda_wait_for_those_that_wait(fast):
    p, g, m = (np.full(3, value) for value in (1.0, 3.0, 0.0))
    together = fast.TOGETHER()
    with together:
        (p,) = together.kernels["decay"]([p], 0.5)
        (g,) = together.kernels["clip_by_value"]([g], 2.0)
        updated, mean = together.kernels["lion"]([p], [g], [m], 0.1, 0.9, 0.75)
    np.testing.assert_allclose(updated[0], 0.4)
    np.testing.assert_allclose(mean[0], 0.5)


def test_updates_of_which_one_failed_are_forgotten(fast):
    p, g, together = [np.ones(3)], [np.ones(3)], fast.TOGETHER()
    with pytest.raises(ValueError, match="could not convert"), together:
        together.kernels["momentum"](together.kernels["sgd"](p, g, 0.1), g, g, "no number", 0.9)
    with together:
        together.kernels["add_l2"](g, p, 0.5)
    np.testing.assert_array_equal(p[0], 1.0)
    np.testing.assert_array_equal(g[0], 1.5)


def network(activations):
    layers = [layer for activation in activations for layer in (pnn.Affine(20, 20), activation)]
    return pnn.Sequential(*layers, pnn.Dropout(0.2), pnn.Affine(20, 4), loss=pnn.SoftmaxWithLoss(), seed=0)


def test_training_runs_on_them(fast, device, monkeypatch):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((150, 20)), rng.integers(0, 4, 150)
    histories = []
    for kernels in (PORTABLE, Kernels(fast)):
        monkeypatch.setattr(_dispatch, "_kernels_of_backend", lambda backend, kernels=kernels: kernels)
        device.launched.clear()
        optimizer = pnn.Adam(1e-2, weight_decay=1e-3, clip_norm=1.0)
        net = network([pnn.ReLU(), pnn.LeakyReLU(), pnn.Tanh(), pnn.Sigmoid(), pnn.GELU()])
        histories.append(pnn.Trainer(net, optimizer).fit(x, t, epochs=3, batch_size=60, progress=False)["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
    assert {"norm", "clip_by_global_norm_add_l2_adam", "affine_relu", "relu_gradient_and_sums"} <= device.launched
    assert {"softmax_loss", "dropout_mask", "sigmoid_gradient_and_sums"} <= device.launched
    assert "adam" not in device.launched


def run_all(fast, array_type=np.ndarray):
    """Call all that the module has once, on arrays of this type."""
    draw = Drawer("float32")
    for kernel, _, arguments in CASES.values():
        kernel(fast)(*(a.view(array_type) if isinstance(a, np.ndarray) else a for a in arguments(draw, 2, 3)))
    for update in fast.IN_PLACE.values():
        words = inspect.signature(update).parameters
        update(*(NUMBERS.get(word, [np.ones(3, "float32").view(array_type)]) for word in words))


def test_every_kernel_is_launched(fast, device):
    device.launched.clear()
    run_all(fast)
    assert device.launched == _cuda.KERNELS.keys()


KEY = (-5, 2**31 - 1)
CHAIN_NUMBERS = {
    "slope": 0.1,
    "alpha": 1.3,
    "low": -0.5,
    "high": 0.8,
    "factor": 0.3,
    "rate": 0.3,
    "key": KEY,
    "layer": 3,
}


def arguments_of(name, arrays):
    """Return arguments of a kernel, arrays by turns, a shape where it takes one, and numbers by their names."""
    words, turns = inspect.signature(PORTABLE_KERNELS[name]).parameters, iter(arrays * 2)
    shape = arrays[0].shape
    return [
        shape if word == "shape" else CHAIN_NUMBERS[word] if word in CHAIN_NUMBERS else next(turns) for word in words
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_kernel_of_chains_does_in_one_what_it_does_alone(fast, dtype, layout):
    rng, names = np.random.default_rng(0), sorted(_cuda.CHAINABLE)
    for shape in (*SHAPES, (300, 7, 5), (100_003,)):
        arrays = [cases.laid_out(rng.uniform(0.1, 2.0, shape).astype(dtype), layout) for _ in range(2)]
        given = {id(array): f"in{k}" for k, array in enumerate(arrays)} | {id(KEY): "key"}
        steps = []
        for name in names:
            steps.append((name, tuple(given.get(id(a), a) for a in arguments_of(name, arrays)), name))
        results = fast.CHAINED(["in0", "in1", "key"], steps, names)(*arrays, KEY)
        for name, result in zip(names, results, strict=True):
            expected = PORTABLE_KERNELS[name](*arguments_of(name, arrays))
            assert (result.shape, result.dtype) == (shape, dtype)
            np.testing.assert_allclose(
                result, expected, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name
            )


def program(rng):
    """Return a random function of kernels and two arrays."""
    unary = ["relu", "tanh", "sigmoid", "negative", "gelu", "softplus", "silu", "leaky_relu", "elu", "dropout_mask"]
    unary += ["selu", "mish", "gelu_tanh", "softsign", "hard_swish", "hard_sigmoid", "celu", "hard_tanh"]
    binary = ["add", "subtract", "multiply", "tanh_gradient", "relu_gradient", "gelu_gradient", "add_scaled"]
    steps = [(rng.choice(unary if rng.random() < 0.5 else binary), rng.integers(0, 2 + k, 2)) for k in range(12)]
    asked = sorted({13, *rng.integers(2, 14, 2).tolist()})

    def function(kernels, x, y, key):
        values = [x, y]
        for name, (a, b) in steps:
            numbers = {"leaky_relu": (0.1,), "elu": (1.3,), "celu": (1.3,), "hard_tanh": (-0.5, 0.8)}
            more = {**numbers, "dropout_mask": (0.3, key, 7), "add_scaled": (0.5,)}.get(name, ())
            operands = (values[a],) if name in unary else (values[a], values[b])
            values.append(getattr(kernels, name)(*operands, *more))
        return tuple(values[k] for k in asked)

    return function


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seed", range(4))
def test_a_plan_with_chains_does_what_one_without_does(fast, device, seed, dtype, special):
    function, draw = program(np.random.default_rng(seed)), Drawer(dtype, special=special)
    kernels, apart = Kernels(fast), Kernels(fast)
    apart.chained = None
    first, then = ((draw(33, 10), draw(33, 10), key) for key in ((1, 2), (3, 4)))
    plans = []
    with np.errstate(all="ignore"):
        for table in (kernels, apart):
            recorder = Recorder(table)
            inputs = {name: recorder.input(each) for name, each in zip("xyk", first, strict=True)}
            plans.append(Plan(recorder, inputs, function(recorder, *inputs.values()), reuses=True))
        assert plans[0].source.count("chain_") == 1
        assert len(plans[0].source.splitlines()) < len(plans[1].source.splitlines())
        for arguments in (first, then, first):
            for one, other in zip(*(plan(*arguments) for plan in plans), strict=True):
                scale = np.abs(other[np.isfinite(other)]).max(initial=1.0)
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=10 * TOLERANCE[dtype] * scale)


def layers(kernels, x, W, b, other, key, activation, numbers):
    """Return what a residual block and its gradient make of arrays."""
    z = kernels.affine(x, W, b)
    y = kernels.add(getattr(kernels, activation)(z, *numbers), other)
    dropped = kernels.multiply(y, kernels.dropout_mask(y, 0.3, key, 2))
    dy = kernels.add(kernels.matmul(dropped, W), other)
    dz = getattr(kernels, f"{activation}_gradient")(dy, z if _cuda.ACTIVATIONS[activation].kept == "x" else y, *numbers)
    dW = kernels.affine_gradient_W(dz, x)
    last = kernels.add(kernels.affine(dz, kernels.matmul(W, W), b), dz)  # z itself is not asked for
    sums = kernels.affine_gradient_b(last)
    return kernels.affine_gradient_b(dz), dW, kernels.tanh(last), sums, kernels.affine_gradient_b(kernels.tanh(dz))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu"])
def test_a_chain_begins_with_a_bias_and_ends_with_sums(fast, device, activation, dtype):
    numbers = [CHAIN_NUMBERS[number.split()[-1]] for number in _cuda.ACTIVATIONS[activation].numbers]
    kernels, apart = Kernels(fast), Kernels(fast)
    apart.chained = None
    for shape in ((0, 3), (1, 1), (33, 10), (300, 40)):
        draw, plans = Drawer(dtype), []
        wide = (shape[1], shape[1])
        calls = [(draw(*shape), draw(*wide), draw(shape[1]), draw(*shape), (seed, 2)) for seed in range(3)]
        for table in (kernels, apart):
            recorder = Recorder(table)
            inputs = {name: recorder.input(each) for name, each in zip("xWbok", calls[0], strict=True)}
            outputs = layers(recorder, *inputs.values(), activation, numbers)
            plans.append(Plan(recorder, inputs, outputs, reuses=True))
        device.launched.clear()
        first = [[array.copy() for array in plans[0](*arguments)] for arguments in calls]
        launched = len(plans[0].source.splitlines())
        assert {"chain", "chain_and_sums"} <= device.launched
        assert not device.launched & {"affine", "column_sums", activation}
        assert launched < len(plans[1].source.splitlines())
        for arguments, found in zip(calls, first, strict=True):
            for one, other in zip(found, plans[1](*arguments), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=10 * TOLERANCE[dtype])


def test_what_is_of_another_shape_or_seen_by_somebody_stays_apart(fast):
    def function(kernels, x, y):
        row = kernels.add(x, y)  # y is broadcast
        return kernels.multiply(kernels.tanh(row), row)

    recorder = Recorder(Kernels(fast))
    inputs = {name: recorder.input(np.ones(shape)) for name, shape in (("x", (3, 4)), ("y", (4,)))}
    plan = Plan(recorder, inputs, function(recorder, *inputs.values()))
    assert "add(x, y)" in plan.source
    assert "chain_1_tanh_multiply" in plan.source
    np.testing.assert_allclose(plan(np.ones((3, 4)), np.ones(4)), 2 * np.tanh(np.full((3, 4), 2.0)))

    recorder = Recorder(Kernels(fast))
    x = recorder.input(np.ones((3, 4)))
    seen = recorder.opaque("seeing", lambda array: array, (recorder.tanh(recorder.relu(x)),), keeps=False)
    plan = Plan(recorder, {"x": x}, recorder.relu(recorder.tanh(seen)))
    assert "chain" not in plan.source  # the first run was the recorded one


@pytest.mark.parametrize("compiler", compilers.MISSING, ids=lambda compiler: compiler.__name__)
def test_cuda_compiles_what_is_made_at_need(fast, device, tmp_path, compiler):
    if compilers.MISSING[compiler]:
        pytest.skip(compilers.MISSING[compiler])
    test_every_kernel_of_chains_does_in_one_what_it_does_alone(fast, "float32", "contiguous")
    test_updates_that_wait_are_done_as_one_after_the_other(fast, device)
    codes = [code for code in device.compiler.libraries if code.count("__global__") == 1]
    assert len(codes) >= 8
    for code in codes:
        compiler(code, tmp_path)


class Unreadable(np.ndarray):
    """An array whose values cannot be had without waiting for them."""

    def _wait(self, *_):
        raise AssertionError("this waits for the device")

    __bool__ = __float__ = __int__ = __index__ = item = tolist = _wait


def test_nothing_waits_for_the_device(fast, device, monkeypatch):
    monkeypatch.setattr(device, "empty", lambda shape, dtype: np.empty(shape, dtype).view(Unreadable))
    monkeypatch.setattr(device, "zeros", lambda shape, dtype: np.zeros(shape, dtype).view(Unreadable))
    run_all(fast, Unreadable)
    with pytest.raises(AssertionError, match="waits"):
        float(np.zeros(()).view(Unreadable))


def test_no_launch_is_larger_than_cuda_allows():
    for rows, columns in [(0, 0), (1, 1), (2**33, 1), (1, 2**33), (2**20, 2**12)]:
        matrix, summed = (_cuda.matrix_launch(rows, columns, summed=summed) for summed in (False, True))
        flat, total = (launch(rows * columns) for launch in (_cuda.flat_launch, _cuda.sum_launch))
        for grid, block in (matrix, summed, flat, total, _cuda.row_launch(rows, columns)):
            assert 1 <= grid[0] < 2**31
            assert 1 <= grid[1] < 2**16
            assert block[0] * block[1] == 256
        assert summed[0][1] == 1 or summed[0][0] <= _cuda.BLOCKS  # which share as many tickets


def sparse(shape, dtype="float32"):
    try:
        return harness.sparse(shape, dtype)
    except OSError as error:
        pytest.skip(f"no address space for {shape} elements: {error}")


# What is drawn has tests of its own, as it depends on the place; of the others, each thread would go over all numbers.
APART = {"class_share", "class_total", "dropout_mask", "gaussian_noise", "mean_scale"}


@pytest.mark.parametrize("name", sorted(_cuda.KERNELS.keys() - APART))
def test_more_than_32_bits_of_elements(device, monkeypatch, name):
    rng, text = np.random.default_rng(0), _cuda.KERNELS[name]
    parameters, ends = harness.parameters(text), []
    arguments = [
        [cases.far_argument(*parameter, shape, launch, sparse) for parameter in parameters]
        for shape, launch in zip(*cases.far(text), strict=True)
    ]
    for (kind, word), small, large in zip(parameters, *arguments, strict=True):
        if kind.endswith("real*") and small is not None:
            small[...] = rng.random(small.shape)
            end = large[tuple(slice(-size, None) for size in small.shape)]
            end[...] = small
            ends += [(small, end)] if word not in ("loss", "total") else []
    near, distant = cases.far(text).launches
    device.run(_cuda.source("f"), name, *near, arguments[0])
    monkeypatch.setattr(device, "blocks", (distant[0][0] - near[0][0], distant[0][0]))
    device.run(_cuda.source("f"), name, *distant, arguments[1])
    for small, end in ends:
        np.testing.assert_array_equal(small, end)


def test_threads_go_on_beyond_32_bits_of_elements(fast, device, monkeypatch):
    sweep, block = 2**24, slice(0, 256)  # what all threads together take in one turn, and what the first block takes
    x = sparse((2**32 + 100,))
    turns = [x[k * sweep :][block] for k in (0, 1, 127, 128, 129, 256)]
    for k, turn in enumerate(turns):
        turn[...] = k - 2.5
    monkeypatch.setattr(device, "blocks", (0, 1))
    fast.relu(x, out=x)
    for k, turn in enumerate(turns):
        np.testing.assert_array_equal(turn, max(k - 2.5, 0.0))


def test_dropout_masks_go_on_beyond_32_bits_of_elements(fast, device, monkeypatch):
    x, mask, end = sparse((2**32 + 300,)), sparse((2**32 + 300,)), slice(2**32, 2**32 + 256)
    monkeypatch.setattr(device, "blocks", (0, 1))
    assert fast.dropout_mask(x, 0.3, (5, 6), 7, out=mask) is mask
    np.testing.assert_array_equal(mask[end], mask[:256])  # counters have 32 bits
    np.testing.assert_array_equal(mask[:256], PORTABLE.dropout_mask(x[:256], 0.3, (5, 6), 7))


@pytest.mark.parametrize("character", CHARACTERS.values())
@pytest.mark.parametrize("compiler", compilers.MISSING, ids=lambda compiler: compiler.__name__)
def test_cuda_compiles_all(tmp_path, compiler, character):
    if compilers.MISSING[compiler]:
        pytest.skip(compilers.MISSING[compiler])
    ptx = compiler(_cuda.source(character), tmp_path)
    assert set(re.findall(r"\.entry kernel_(\w+)\(", ptx)) == _cuda.KERNELS.keys()


@pytest.mark.parametrize("module", ["_cuda", "cupy"])
def test_import_without_a_gpu(module):
    if module == "cupy" and importlib.util.find_spec("cupy") is None:
        pytest.skip("no cupy")
    code = f"import sys, portable_nn.kernels.fast.{module}; print('cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(module == "cupy")
