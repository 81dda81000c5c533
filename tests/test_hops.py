"""How many functions of this library a step goes through besides its kernels: each costs as much as a small product."""

import sys

import numpy as np
import pytest

import portable_nn as pnn

MOST = 18


def hops_of_a_step(optimizer, **options):
    """Return the names of the functions that are entered from one step of `fit` to the next, when all is warm."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((16 * 8, 4)).astype("float32"), rng.integers(0, 3, 16 * 8)
    net = pnn.Sequential(pnn.Affine(4, 8), pnn.ReLU(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    trainer, entered = pnn.Trainer(net, optimizer, compile=False), []

    def note(frame, event, _):
        path = frame.f_code.co_filename
        if event == "call" and "portable_nn" in path and "kernels" not in path and __file__ != path:
            entered.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        trainer.fit(x, t, batch_size=16, epochs=1, progress=False, **options)
    finally:
        sys.setprofile(None)
    steps = [i for i, name in enumerate(entered) if name == "TrainingStep.__call__"]
    assert len(steps) == 8
    return entered[steps[-3] : steps[-2]]


def test_a_warm_step_enters_few_functions():
    hops = hops_of_a_step(pnn.SGD(0.1))
    assert len(hops) <= MOST, hops
    for phase in ("gradient", "reduce", "transform", "apply"):  # each is a function with a name
        assert sum(name.endswith(f"Step.{phase}") for name in hops) == 1, hops


@pytest.mark.parametrize("groups", [None, {"*.b": {"lr_scale": 0.1}}])
def test_groups_cost_those_who_have_them(groups):
    hops = hops_of_a_step(pnn.SGD(0.1, groups=groups))
    assert (len(hops) > MOST) == (groups is not None)
