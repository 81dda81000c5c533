"""Every fast kernel against its portable namesake: one table, which must have a row for each of them."""

import ast
import importlib
import importlib.util
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from portable_nn import to_numpy
from portable_nn.arrays import Place, is_array, namespace
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.kernels import PORTABLE, PORTABLE_KERNELS, fast, kernels_for
from portable_nn.kernels.portable import updates
from portable_nn.kernels.recording import leaves
from portable_nn.testing.backends import float64_enabled


def alike(*names, **numbers):
    """Return the recipe of a kernel that takes arrays of one shape, and numbers after them."""
    return lambda draw, shape: [*(draw(shape, name) for name in names), *numbers.values()]


def scaled(*before, scale, more=()):
    """Return the recipe of a loss of y and t, or of its gradient, with a number as scale, or one a row or element."""

    def arguments(draw, shape):
        rows = draw(shape[:1] if scale == "rows" else shape, "share") if isinstance(scale, str) else scale
        return [*before, draw(shape, "x"), draw(shape, "share"), rows, *more]

    return arguments


def normalized(kernel, *numbers, over=1, channels=False):
    """Return the recipe of a kernel that normalizes over the last axes, or channel by channel, or of its gradient."""

    def arguments(draw, shape):
        if channels and shape[0] < 2:
            shape = (shape[0] + 2, *shape[1:])  # else there is no variance
        lying = shape[1:2] if channels else shape[-over:] if len(shape) > over else shape[-1:]
        count = {"batch_norm": 4, "normalize": 4, "rms_norm": 1}.get(kernel.removesuffix("_gradient"), 2)
        arrays = [draw(lying, "share") + 0.5 for _ in range(count)]
        x = draw(shape, "x") + 3.0
        if not kernel.endswith("_gradient"):
            return [x, *arrays, *numbers]
        if kernel == "normalize_gradient":
            return [draw(shape, "dy"), x, arrays[0], *arrays[2:], *numbers]
        saved = getattr(PORTABLE, kernel.removesuffix("_gradient"))(x, *arrays, *numbers)[1:3]
        return [draw(shape, "dy"), x, *saved, arrays[0]]

    return arguments


def in_groups(kernel, *, several):
    """Return the recipe of a group norm or its gradient: of one group, or of several with more than a number each."""

    def arguments(draw, shape):
        most = shape[1] if len(shape) > 2 else 3 if shape[1] % 3 == 0 else 1
        return normalized(kernel, most if several else 1, 1e-2, channels=True)(draw, shape)

    return arguments


# What each kernel is called with, in one or several ways. `draw(shape, name)` returns an array of random numbers at the
# backend, with the data type and memory layout that the test is about: "special" ones have infinities and more among
# them, a "share" is from 0 to 1. `draw.indices(count)` returns two integers below `count`, or none, and
# `draw.numbers(shape, count)` as many as a shape has.
ARGUMENTS = {
    "absolute_error": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "absolute_error_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "add": [alike("special", "special")],
    "add_scaled": [alike("x", "dy", factor=0.3)],
    "affine": [
        lambda draw, shape: [draw(shape, "x"), draw((math.prod(shape[1:]), 5), "W"), draw((5,), "b")],
        lambda draw, shape: [draw(shape, "x"), draw((math.prod(shape[1:]), 5), "W"), None],
    ],
    "affine_gradient_W": [lambda draw, shape: [draw((shape[0], 5), "dy"), draw(shape, "x")]],
    "affine_gradient_b": [lambda draw, shape: [draw((shape[0], 5), "dy")]],
    "affine_gradient_x": [lambda draw, shape: [draw((shape[0], 5), "dy"), draw((math.prod(shape[1:]), 5), "W"), shape]],
    "all_finite": [alike("x"), alike("special")],
    "celu": [alike("x", alpha=0.7)],
    "celu_gradient": [alike("dy", "x", alpha=0.7)],
    "batch_norm": [normalized("batch_norm", 0.3, 1e-2, channels=True)],
    "batch_norm_gradient": [normalized("batch_norm_gradient", 0.3, 1e-2, channels=True)],
    "class_share": [
        lambda draw, shape: [draw((shape[0], 5), "share"), draw((5,), "share")],
        lambda draw, shape: [draw((shape[0], 5), "share"), draw((5,), "share"), draw(shape[:1], "share")],
    ],
    "class_total": [
        lambda draw, shape: [draw((shape[0], 5), "share"), draw((5,), "share")],
        lambda draw, shape: [draw((shape[0], 5), "share"), draw((5,), "share"), draw(shape[:1], "share")],
    ],
    "dropout_mask": [alike("x", rate=0.3, key=(5, 7), layer=2)],
    "elu": [alike("x", alpha=0.7)],
    "elu_gradient": [alike("dy", "x", alpha=0.7)],
    "embedding": [
        lambda draw, shape: [draw(shape[-2:], "x"), draw.indices(shape[-2])],
        lambda draw, shape: [draw(shape[-2:], "x"), draw.indices(shape[-2])[:, None]],
    ],
    "embedding_gradient": [
        lambda draw, shape: [draw((shape[0], 5), "dy"), draw.numbers((shape[0],), 4), 4, None],
        lambda draw, shape: [draw((*shape[:2], 5), "dy"), draw.numbers(shape[:2], 30), 31, 7],
        lambda draw, shape: [draw((*shape, 3), "dy"), draw.numbers(shape, 2), 3, 0],
    ],
    "gaussian_noise": [alike("x", std=0.3, key=(5, 7), layer=2)],
    "gelu": [alike("x")],
    "gelu_gradient": [alike("dy", "x")],
    "gelu_tanh": [alike("x")],
    "gelu_tanh_gradient": [alike("dy", "x")],
    "glu": [lambda draw, shape: [draw((*shape[:-1], 2 * shape[-1]), "x"), len(shape) - 1]],
    "group_norm": [in_groups("group_norm", several=False), in_groups("group_norm", several=True)],
    "group_norm_gradient": [
        in_groups("group_norm_gradient", several=False),
        in_groups("group_norm_gradient", several=True),
    ],
    "half_squares": [alike("x")],
    "hard_sigmoid": [alike("special")],
    "hard_sigmoid_gradient": [alike("dy", "share")],
    "hard_swish": [alike("x")],
    "hard_swish_gradient": [alike("dy", "x")],
    "hard_tanh": [alike("special", low=-0.5, high=0.8)],
    "hard_tanh_gradient": [alike("dy", "special", low=-0.5, high=0.8)],
    "huber_error": [
        scaled(scale=0.5, more=(0.8,)),
        scaled(scale="rows", more=(0.8,)),
        scaled(scale="all", more=(0.8,)),
    ],
    "huber_error_gradient": [
        scaled(1.0, scale=0.5, more=(0.8,)),
        scaled(2.5, scale="rows", more=(0.8,)),
        scaled(2.5, scale="all", more=(0.8,)),
    ],
    "hinge_loss": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "hinge_loss_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "layer_norm": [normalized("layer_norm", 1e-2), normalized("layer_norm", 1e-2, over=2)],
    "layer_norm_gradient": [
        normalized("layer_norm_gradient", 1e-2),
        normalized("layer_norm_gradient", 1e-2, over=2),
    ],
    "leaky_relu": [alike("x", slope=0.1)],
    "leaky_relu_gradient": [alike("dy", "x", slope=0.1)],
    "log_cosh_error": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "log_cosh_error_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "log_softmax": [alike("x"), alike("x", axis=-1), alike("x", axis=1)],
    "log_softmax_gradient": [alike("dy", "x"), alike("dy", "x", axis=-1), alike("dy", "x", axis=1)],
    "mean_scale": [
        lambda draw, shape: [draw(shape[:1], "share"), draw(shape[:1], "share")],
        lambda draw, shape: [None, draw(shape[:1], "share"), 0.3],
    ],
    "mish": [alike("x")],
    "mish_gradient": [alike("dy", "x")],
    "multiply": [alike("special", "special")],
    "normalize": [normalized("normalize", 1e-2, channels=True)],
    "normalize_gradient": [normalized("normalize_gradient", 1e-2, channels=True)],
    "poisson_error": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "poisson_error_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "quantile_error": [
        lambda draw, shape: [draw(shape, "x"), draw(shape, "share"), 0.5, draw(shape[-1:], "share")],
        lambda draw, shape: [draw(shape, "x"), draw(shape, "share"), draw(shape, "share"), draw((1,), "share")],
    ],
    "quantile_error_gradient": [
        lambda draw, shape: [2.5, draw(shape, "x"), draw(shape, "share"), 0.5, draw(shape[-1:], "share")],
        lambda draw, shape: [1.0, draw(shape, "x"), draw(shape, "share"), draw(shape, "share"), draw((1,), "share")],
    ],
    "relu": [alike("special")],
    "relu_gradient": [alike("special", "special")],
    "rms_norm": [normalized("rms_norm", 1e-2), normalized("rms_norm", 1e-2, over=2)],
    "rms_norm_gradient": [normalized("rms_norm_gradient", 1e-2), normalized("rms_norm_gradient", 1e-2, over=2)],
    "rows": [lambda draw, shape: [draw(shape, "x"), draw.indices(shape[0])]],
    "selu": [alike("x")],
    "selu_gradient": [alike("dy", "x")],
    "sigmoid": [alike("x")],
    "sigmoid_focal_loss": [
        scaled(scale=0.5, more=(2.0, 0.25, 0.75)),
        scaled(scale="rows", more=(1.5, 1.0, 1.0)),
        scaled(scale="all", more=(0.0, 0.3, 0.7)),
    ],
    "sigmoid_focal_loss_gradient": [
        scaled(1.0, scale=0.5, more=(2.0, 0.25, 0.75)),
        scaled(2.5, scale="rows", more=(1.5, 1.0, 1.0)),
        scaled(2.5, scale="all", more=(0.0, 0.3, 0.7)),
    ],
    "sigmoid_gradient": [alike("dy", "share")],
    "sigmoid_loss": [
        *(scaled(scale=scale) for scale in (0.5, "rows", "all")),
        lambda draw, shape: [draw(shape, "x"), draw(shape, "share"), 0.5, draw(shape[-1:], "share")],
    ],
    "sigmoid_loss_gradient": [
        *(scaled(dout, scale=scale) for dout, scale in ((1.0, 0.5), (2.5, "rows"), (2.5, "all"))),
        lambda draw, shape: [2.5, draw(shape, "x"), draw(shape, "share"), 0.5, draw(shape[-1:], "share")],
    ],
    "silu": [alike("x")],
    "silu_gradient": [alike("dy", "x")],
    "softmax": [alike("x"), alike("x", axis=-1), alike("x", axis=1)],
    "softmax_gradient": [alike("dy", "share"), alike("dy", "share", axis=-1), alike("dy", "share", axis=1)],
    "softplus": [alike("x")],
    "softplus_gradient": [alike("dy", "x")],
    "softsign": [alike("x")],
    "softsign_gradient": [alike("dy", "x")],
    "squared_error": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "squared_error_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "squared_hinge_loss": [scaled(scale=0.5), scaled(scale="rows"), scaled(scale="all")],
    "squared_hinge_loss_gradient": [scaled(1.0, scale=0.5), scaled(2.5, scale="rows"), scaled(2.5, scale="all")],
    "tanh": [alike("x")],
    "tanh_gradient": [alike("dy", "share")],
    "total": [lambda draw, shape: [draw(shape[:1], "share")], lambda draw, shape: [draw(shape, "share"), 3.0]],
}
TESTED_BY_BEHAVIOUR = {
    *("accumulate", "compile_pass", "compile_step", "compile_steps", "feeder", "gather", "pack"),
    *("softmax_loss", "softmax_loss_gradient"),
}

SHAPES = [(0, 4), (1, 7), (6, 1), (5, 8), (3, 4, 5), (64, 33), (100, 120)]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38])
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
LAYOUTS = ("contiguous", "transposed", "every second")


def fast_kernels():
    """Return (backend, name) of every fast kernel, read from the source: the backends need not be installed."""
    for source in sorted(Path(fast.__file__).parent.glob("[!_]*.py")):
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from ((source.stem, name) for name in ast.literal_eval(node.value))


FAST = list(fast_kernels())


def load(backend, name):
    """Return a fast kernel, or skip the test where its backend is missing."""
    skip_without(backend)
    return getattr(fast_module(backend), name)


def skip_without(backend):
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(f"missing backend {backend}: {error}")


def drawer(place, layout, rng):
    """Return `draw`: an array of a shape at a place, laid out in memory as asked."""

    def draw(shape, name):
        wide = (*shape[:-1], 2 * shape[-1]) if layout == "every second" else shape
        values = rng.uniform(size=wide) if name == "share" else rng.normal(size=wide)
        if name == "special":
            values = np.where(rng.random(wide) < 1 / 3, rng.choice(SPECIAL, wide), values)
        if layout == "transposed":
            axes = tuple(reversed(range(len(shape))))
            return place.xp.permute_dims(place.asarray(values.transpose()), axes)
        array = place.asarray(values)
        return array[..., ::2] if layout == "every second" else array

    draw.indices = lambda count: place.asarray(rng.integers(0, max(count, 1), 2 * (count > 0)), place.index_dtype)
    draw.numbers = lambda shape, count: place.asarray(rng.integers(0, count, shape), place.index_dtype)
    return draw


def test_there_are_fast_kernels():
    assert ("numpy", "relu_gradient") in FAST
    assert ("jax", "compile_step") in FAST


@pytest.mark.parametrize(("backend", "name"), FAST)
def test_every_fast_kernel_has_a_portable_namesake_and_a_row(backend, name):
    assert name in PORTABLE_KERNELS
    assert name in ARGUMENTS or name in TESTED_BY_BEHAVIOUR


def test_every_row_is_of_a_fast_kernel():
    assert ARGUMENTS.keys() | TESTED_BY_BEHAVIOUR == {name for _, name in FAST}


@pytest.fixture(scope="module")
def benchmark():
    source = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
    if not source.exists():
        pytest.skip("the benchmarks are not beside the tests here")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(source.parents[1])
        spec = importlib.util.spec_from_file_location("benchmarks_kernels", source)
        benchmark = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(benchmark)
    return benchmark


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize(("backend", "name"), FAST)
def test_the_benchmark_calls_every_fast_kernel(benchmark, backend, name):
    skip_without(backend)
    place = Place(backend)
    prepare, _, sizes = benchmark.CONTESTS[name]
    for kernels in (PORTABLE, kernels_for(place.xp)):
        benchmark.finish(prepare(kernels, place, sizes[0])())


def test_every_fast_kernel_has_a_line_in_the_benchmark(benchmark):
    assert benchmark.CONTESTS.keys() == {name for _, name in FAST}
    assert benchmark.winning_size({10: [1.0, 2.0], 20: [2.0, 1.0], 30: [3.0, 1.0]}) == 20
    assert benchmark.winning_size({10: [2.0, 1.0], 20: [1.0, 1.0]}) is None


@pytest.mark.parametrize(("backend", "name"), FAST)
def test_same_parameters(backend, name):
    signatures = (inspect.signature(kernel) for kernel in (load(backend, name), PORTABLE_KERNELS[name]))
    fast_names, portable_names = ([*signature.parameters] for signature in signatures)
    assert [name for name in fast_names if name != "out"] == portable_names
    assert "out" not in fast_names[:-1]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("backend", "name"), [pair for pair in FAST if pair[1] not in TESTED_BY_BEHAVIOUR])
def test_same_result(backend, name, dtype, layout):
    kernel, overwrites = load(backend, name), getattr(fast_module(backend), "OVERWRITES", ())
    hold_to_namesake(kernel, backend, name, dtype, layout, overwrites=name in overwrites)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_same_result_of_compiled_kernels(dtype, layout):
    kernels = tables("numpy", "_numba").KERNELS
    for name in kernels.keys() - TESTED_BY_BEHAVIOUR:
        hold_to_namesake(kernels[name], "numpy", name, dtype, layout)


def hold_to_namesake(kernel, backend, name, dtype, layout, *, overwrites=False):
    """Compare a kernel with its portable namesake on all that its row says, with and without memory for the result."""
    portable, rng = PORTABLE_KERNELS[name], np.random.default_rng(0)
    portable = as_one(portable) if backend == "jax" else portable
    with float64_enabled(backend), np.errstate(all="ignore"):
        draw = drawer(Place(backend, dtype=dtype), layout, rng)
        for recipe, shape in itertools.product(ARGUMENTS[name], SHAPES):
            arguments = recipe(draw, shape)
            before = [to_numpy(a).copy() if is_array(a) else a for a in arguments]
            expected = portable(*arguments)
            result = kernel(*arguments)
            assert_all_same(result, expected, TOLERANCE[dtype])
            if "out" in inspect.signature(kernel).parameters and all(part.shape for part in leaves(result)):
                for part in leaves(result):
                    part[...] = 7.0
                assert_all_same(kernel(*arguments, out=result), expected, TOLERANCE[dtype])
            for argument, values in zip(arguments, before, strict=True):
                if is_array(argument):
                    np.testing.assert_array_equal(to_numpy(argument), values, err_msg="an argument was written")
            if overwrites:
                assert_all_same(kernel(*arguments, out=arguments[0]), expected, TOLERANCE[dtype])


def as_one(kernel):
    """Return a kernel that JAX compiles as a whole: operation by operation takes it a hundred times as long."""

    def call(*arguments):
        def run(arrays):
            given = iter(arrays)
            return kernel(*(next(given) if is_array(a) else a for a in arguments))

        return jax.jit(run)([a for a in arguments if is_array(a)])

    import jax

    return call


def fast_module(backend):
    return importlib.import_module(f"{fast.__name__}.{backend}")


def assert_all_same(result, expected, tolerance):
    """Compare an array, or each of several."""
    for part, wanted in zip(leaves(result), leaves(expected), strict=True):
        assert part.dtype == wanted.dtype
        assert_same(to_numpy(part), to_numpy(wanted), tolerance)


def assert_same(result, expected, tolerance):
    """Compare arrays element by element; sums and products of many terms by the largest of them."""
    assert result.shape == expected.shape
    finite = expected[np.isfinite(expected)]
    largest = float(abs(finite[abs(finite) < 1e30]).max(initial=1.0))
    np.testing.assert_allclose(result, expected, rtol=4 * tolerance, atol=4 * tolerance * largest)


TARGETS = {
    "labels": (lambda rng, n, c: rng.integers(0, c, n), None, 0.0),
    "smoothed": (lambda rng, n, c: rng.integers(0, c, n), None, 0.2),
    "some ignored": (lambda rng, n, c: np.where(rng.random(n) < 0.4, -1, rng.integers(0, c, n)), None, 0.0),
    "some ignored, smoothed": (lambda rng, n, c: np.where(rng.random(n) < 0.4, -1, rng.integers(0, c, n)), None, 0.2),
    "some ignored, classes weighted": (
        lambda rng, n, c: np.where(rng.random(n) < 0.4, -1, rng.integers(0, c, n)),
        "weights",
        0.2,
    ),
    "weighted classes": (lambda rng, n, c: rng.integers(0, c, n), "weights", 0.0),
    "distributions": (lambda rng, n, c: rng.dirichlet(np.ones(c), n), None, 0.1),
}


# The scale of each row tells the kernels of some backends what to ignore.
@pytest.mark.parametrize(
    ("targets", "scale"),
    [
        (targets, scale)
        for targets, (_, weights, _) in TARGETS.items()
        for scale in ((0.125, "rows") if weights or not targets.startswith("some ignored") else ("rows",))
    ],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("backend", "module"),
    [(backend, backend) for backend, name in FAST if name == "softmax_loss"] + [("numpy", "_numba")],
)
def test_the_softmax_loss_and_its_gradient(backend, module, dtype, targets, scale):
    table = tables(backend, module)
    loss_kernel, gradient = table.softmax_loss, load(backend, "softmax_loss_gradient")
    rng, place = np.random.default_rng(0), Place(backend, dtype=dtype)
    make, weights, smoothing = TARGETS[targets]
    for n, c in (0, 3), (1, 4), (7, 1), (30, 10), (50, 100):
        t = make(rng, n, c)
        t = place.asarray(t, place.index_dtype if t.ndim == 1 else None)
        y = place.asarray(3.0 * rng.normal(size=(n, c)))
        counted = to_numpy(t) >= 0 if t.ndim == 1 else 1.0
        rows = place.asarray(rng.uniform(size=n) * counted) if scale == "rows" else scale
        arguments = (y, t, rows, place.asarray(rng.uniform(size=c)) if weights else None, smoothing)
        expected, portable_kept = PORTABLE.softmax_loss(*arguments)
        loss, saved = loss_kernel(*arguments)
        for _ in range(2):
            assert_same(to_numpy(loss), to_numpy(expected), TOLERANCE[dtype])
            for dout in (1.0, 2.0):
                wanted = to_numpy(PORTABLE.softmax_loss_gradient(dout, portable_kept))
                assert_same(to_numpy(gradient(dout, saved)), wanted, TOLERANCE[dtype])
            assert loss.dtype == expected.dtype
            if "out" in inspect.signature(loss_kernel).parameters:
                loss, saved = loss_kernel(*arguments, out=(None, saved))


BACKENDS_WITH_TABLES = sorted({backend for backend, name in FAST if name == "affine"})
MODULES = [(backend, backend) for backend in BACKENDS_WITH_TABLES] + [("numpy", "_numba")]
"""Backends, each with a module that has tables for it."""


def tables(backend, module):
    """Return a module with tables, or skip the test where what it needs is missing."""
    skip_without(backend)
    if module.startswith("_"):
        pytest.importorskip(module[1:])
    return fast_module(module)


UPDATES = {
    "sgd": (2, (0.1,)),
    "momentum": (3, (0.1, 0.9)),
    "nesterov": (3, (0.1, 0.9)),
    "adagrad": (3, (0.1, 1e-8)),
    "rmsprop": (3, (0.1, 0.99, 1e-8)),
    "adam": (4, (0.01, 0.9, 0.999, 1e-8)),
    "add_l2": (2, (0.01,)),
    "decay": (1, (0.01,)),
    "clip_by_value": (1, (0.5,)),
    "clip_by_global_norm": (1, (0.5,)),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [1, 40, 200_000])
@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize(("backend", "module"), MODULES)
def test_updates_in_place(backend, module, name, size, dtype):
    kernel = tables(backend, module).IN_PLACE[name]
    rng, place = np.random.default_rng(0), Place(backend, dtype=dtype)
    count, numbers = UPDATES[name]
    lists = [
        [place.asarray(rng.uniform(0.1, 1.0, size)), place.asarray(rng.uniform(0.1, 1.0, 3))] for _ in range(count)
    ]
    for _ in range(2):
        expected = PORTABLE_KERNELS[name](*lists, *numbers)
        expected = [[to_numpy(array).copy() for array in row] for row in as_lists(expected)]
        result = as_lists(kernel(*lists, *numbers))
        assert len(result) == len(expected)
        for row, wanted in zip(result, expected, strict=True):
            for array, values in zip(row, wanted, strict=True):
                assert any(array is given for given in itertools.chain(*lists))
                assert_same(to_numpy(array), values, TOLERANCE[dtype])


def as_lists(updated):
    return updated if isinstance(updated, tuple) else (updated,)


def test_every_update_has_its_row():
    assert UPDATES.keys() == set(updates.__all__)


def softmax_loss_and_gradient(*arguments):
    """Do what the kernel for CuPy does: what its gradient needs is the gradient."""
    loss, saved = PORTABLE.softmax_loss(*arguments)
    return loss, (PORTABLE.softmax_loss_gradient(1.0, saved),)


def softmax_arguments(draw, shape):
    return [draw(shape, "x"), draw(shape, "share"), 0.5, None, 0.1]


def composed(name, paired):
    """Return what a kernel does, one of two that were paired too, and the recipe of its arguments."""
    if name == "softmax_loss":
        return softmax_loss_and_gradient, softmax_arguments
    if name in PORTABLE_KERNELS:
        return PORTABLE_KERNELS[name], ARGUMENTS[name][0]
    first, second = next(key for key in paired if "_".join(key) == name)
    one, recipe = composed(first, paired)

    def both(*arguments):
        result = one(*arguments)
        needed = (1.0, *arguments) if second == f"{first}_gradient" else leaves(result)[-1:]
        return result, PORTABLE_KERNELS[second](*needed)

    return both, recipe


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["FUSED", "PAIRED"])
@pytest.mark.parametrize(("backend", "module"), MODULES)
def test_joined_kernels_do_what_both_do(backend, module, kind, layout):
    module = tables(backend, module)
    paired = getattr(module, "PAIRED", {})
    draw = drawer(Place(backend), layout, np.random.default_rng(0))
    for (first, second), kernel in getattr(module, kind, {}).items():
        one, recipe = composed(first if kind == "FUSED" else f"{first}_{second}", paired)
        arguments = recipe(draw, (6, 8))
        wanted = one(*arguments)
        if kind == "FUSED":
            two, recipe = composed(second, paired)
            more = recipe(draw, wanted.shape)[1:]
            wanted, arguments = two(wanted, *more), arguments + more
        result = kernel(*arguments)
        for _ in range(2):
            for part, values in zip(leaves(result), leaves(wanted), strict=True):
                assert_same(to_numpy(part), to_numpy(values), 1e-6)
            result = kernel(*arguments, out=result)
