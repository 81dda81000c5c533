"""Plans of graphs that a seed invents, against the plain walk: losses, parameters, slots and predictions.

A failure names its seed: PORTABLE_NN_PLAN_SEED runs that graph alone. PORTABLE_NN_PLANS says how many graphs there are
for NumPy, torch and CuPy (half as many), for JAX and for torch.compile, other ones every day.
"""

import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from portable_nn.kernels import Plan
from portable_nn.kernels.fast import _mkl
from portable_nn.kernels.recording import leaves
from portable_nn.testing.backends import Backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:the network ends in S"),  # as invented graphs do at times
]

FOLDER = Path(__file__).parent / "plan_fuzz"
SPEC = importlib.util.spec_from_file_location(
    "plan_fuzz", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
)
sys.modules["plan_fuzz"] = importlib.util.module_from_spec(SPEC)
runs = importlib.import_module("plan_fuzz.runs")

SEED = os.environ.get("PORTABLE_NN_PLAN_SEED")
PLANS = os.environ.get("PORTABLE_NN_PLANS")
# Without the variable always the same ones: a test must not fail for what somebody else has changed.
FIRST = int(time.time()) // 86_400 * 100_000 if PLANS else 0
EAGER, JAX, COMPILED = (int(count) for count in (PLANS or "1000 60 3").split())
CHUNK = 50
COUNTS = {"numpy": EAGER, "numba": EAGER, "mkl": EAGER, "torch": EAGER, "cupy": EAGER // 2}
COUNTS |= {"jax": JAX, "torch.compile": COMPILED}


def chunks():
    """Return (kind, first seed, seeds), all kinds of the same graphs one after the other: they share the plain walk."""
    if SEED:
        return [(kind, int(SEED), 1) for kind in COUNTS]
    return [
        (kind, FIRST + start, min(CHUNK, count - start))
        for start in range(0, max(COUNTS.values()), CHUNK)
        for kind, count in COUNTS.items()
        if start < count
    ]


def missing(kind):
    """Return why a kind of run is not possible here, or None."""
    package = {"numba": "numba", "torch": "torch", "torch.compile": "torch", "jax": "jax"}.get(kind)
    if package and importlib.util.find_spec(package) is None:
        return f"missing package {package}"
    if kind == "mkl" and _mkl.library() is None:
        return "the package mkl is not installed"
    if kind == "torch.compile" and shutil.which("g++") is None:
        return "torch.compile needs g++"
    if kind == "cupy":
        return Backend("cupy", "cupy").missing() or None
    return None


@pytest.fixture
def mkl_anywhere(monkeypatch):
    """Let MKL be used whoever made the processor."""
    monkeypatch.setenv("PORTABLE_NN_MKL", "1")
    found = _mkl.library, _mkl._gemm
    for function in found:
        function.cache_clear()
    yield
    for function in found:
        function.cache_clear()


@pytest.mark.parametrize(("kind", "first", "count"), chunks())
@pytest.mark.usefixtures("mkl_anywhere")
def test_steps_do_what_the_plain_walk_does(kind, first, count):
    if reason := missing(kind):
        pytest.skip(reason)
    runs.judge([runs.check(seed, kind) for seed in range(first, first + count)])


@pytest.mark.parametrize("kind", ["numpy", "torch", "cupy"])
def test_memory_that_a_plan_gives_away_is_of_the_kind_of_the_result(kind, monkeypatch):
    if reason := missing(kind):
        pytest.skip(reason)
    line, given = Plan._line, []

    def checking(kernel):
        def call(*arguments, **named):
            old = leaves(named.get("out"))
            kinds = [array if array is None else (tuple(array.shape), array.dtype) for array in old]
            result = kernel(*arguments, **named)
            if any(kinds):
                for kind, array in zip(kinds, leaves(result), strict=True):
                    assert kind is None or kind == (tuple(array.shape), array.dtype), f"{kernel} got {kind}"
                given.extend(filter(None, kinds))
            return result

        return call

    def checked_line(plan, call, out):
        text = line(plan, call, out)
        plan._globals[call.name] = checking(plan._globals[call.name])
        return text

    monkeypatch.setattr(Plan, "_line", checked_line)
    runs.judge([runs.check(seed, kind) for seed in range(25)])
    assert len(given) > 100
