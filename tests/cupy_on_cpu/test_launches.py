"""What a training step asks a GPU to do, counted by the stand-in: launches, copies, reads, memory."""

import sys
from pathlib import Path

import pytest

if not (ROOT := Path(__file__).parents[2]).joinpath("benchmarks", "launches.py").exists():
    pytest.skip("the benchmarks are not beside the tests here", allow_module_level=True)
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from benchmarks.launches import CASES, count, count_torch

cupy = pytest.importorskip("cupy")
if not hasattr(cupy, "_ledger"):
    pytest.skip("only the stand-in for CuPy counts", allow_module_level=True)

AT_MOST = dict(zip((case.label for case in CASES[:3]), (9, 14, 15), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_a_warm_step_launches_little_reads_nothing_and_takes_no_new_memory(case):
    counted = count(case)
    assert counted.launches <= AT_MOST.get(case.label, 14), counted.names
    assert counted.gathers <= 1
    assert (counted.copies_in, counted.reads, counted.blocks) == (0, 0, 0)


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.label)
def test_eager_pytorch_makes_more_operations(case):
    pytest.importorskip("torch")
    assert count_torch(case) > count(case).launches
