"""Random networks trained by plans, with every table of kernels, and by the plain walk: the same numbers.

PORTABLE_NN_PLANS is how many networks NumPy, numba, MKL and torch get each (1,000); JAX gets 60 of them, torch.compile
5, and of more than 1,000 a fiftieth and a thousandth. PORTABLE_NN_PLAN_SEED is the first seed (0). A failure names its
seed and its network.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from portable_nn.arrays import to_numpy
from portable_nn.kernels import PORTABLE
from portable_nn.kernels.fast import _mkl, _numpy_products
from portable_nn.layers import Run
from portable_nn.testing.backends import float64_enabled
from portable_nn.training.planned_step import PlannedStep
from portable_nn.training.step import training_step

SPEC = importlib.util.spec_from_file_location("programs", Path(__file__).parent / "plan_fuzz" / "programs.py")
programs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(programs)

COUNT = int(os.environ.get("PORTABLE_NN_PLANS", "1000"))
FIRST = int(os.environ.get("PORTABLE_NN_PLAN_SEED", "0"))

# Where it runs, what `compile` is, and which share of COUNT it gets.
TABLES = {
    "numpy": ("numpy", False, 1.0),
    "numba": ("numpy", True, 1.0),
    "mkl": ("numpy", False, 1.0),
    "torch": ("torch", False, 1.0),
    "jax": ("jax", True, 0.06 if COUNT <= 1000 else 0.02),
    "torch.compile": ("torch", True, 0.005 if COUNT <= 1000 else 0.001),
}
PARTS = 4


@pytest.fixture
def with_mkl(monkeypatch):
    """Leave all products to MKL."""
    monkeypatch.setenv("PORTABLE_NN_MKL", "1")
    for function in (_mkl.library, _mkl._gemm):
        function.cache_clear()
    if _mkl.library() is None:
        pytest.skip("the package mkl is not installed")
    monkeypatch.setattr(_numpy_products, "_SMALL", 0)
    monkeypatch.setattr(_numpy_products, "_TINY", 0)
    yield
    for function in (_mkl.library, _mkl._gemm):
        function.cache_clear()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:steps with .* run uncompiled")
def test_plans_do_what_the_walk_does(table, part, request):
    xp, compile, share = TABLES[table]
    for package in (xp, *({"numba": ["numba"]}.get(table, []))):
        pytest.importorskip(package)
    if table == "mkl":
        request.getfixturevalue("with_mkl")
    count = round(COUNT * share)
    with float64_enabled(xp):
        for seed in range(FIRST + count * part // PARTS, FIRST + count * (part + 1) // PARTS):
            # What is compiled as a whole has no opaque part, and not many shapes: each takes its time.
            whole = xp != "numpy" and compile
            options = {"opaque": not whole, "shapes": 1 if whole else 3, "dtype": "float64"}
            program, reference = (programs.Program(seed, xp=name, **options) for name in (xp, "numpy"))
            try:
                compare(program, reference, compile)
            except Exception as error:
                error.add_note(f"{table}: {program}")
                raise


def compare(program, reference, compile):
    step = training_step(program.network, program.optimizer, compile=compile)
    for x, t, weight in program.batches:
        batch = program.network.batch(x, t, sample_weight=weight)
        expected = walk(reference.network, reference.optimizer, x, t, weight)
        np.testing.assert_allclose(float(step(*batch)), expected, rtol=1e-9, atol=1e-12)
        assert_same(program.network.predict(x), forward(reference.network, x))
    assert step.optimizer.steps == len(program.batches)
    for name, array in program.network.parameters.items():
        assert_same(array, reference.network.parameters[name])
    for name, slots in program.optimizer.state.items():
        for mine, theirs in zip(slots, reference.optimizer.state[name], strict=True):
            assert_same(mine, theirs)
    for layer in program.network.layers:
        if isinstance(layer, programs.Remembers):
            for array, copied in layer.seen:
                np.testing.assert_array_equal(to_numpy(array), copied)
    assert not isinstance(step, PlannedStep) or step._plans


def walk(network, optimizer, x, t, weight):
    """Make an update by the portable kernels, on NumPy and without any plan, and return the loss."""
    key = network.next_key() if network.is_random else None
    run = Run(network.place, PORTABLE, training=True, key=key)
    loss, grads = network.loss_and_gradients(run, network.arrays(), *network.batch(x, t, sample_weight=weight))
    optimizer.update(network.parameters, {name: grads[i] for name, i in network.trainable().items()})
    return float(loss)


def forward(network, x):
    return network.forward_walk(Run(network.place, PORTABLE), network.arrays(), network.inputs(x))[0]


def assert_same(mine, theirs):
    np.testing.assert_allclose(to_numpy(mine), to_numpy(theirs), rtol=1e-8, atol=1e-10)
