"""Schedules against torch's schedulers and closed forms."""

import json
import math
import pickle
from functools import partial

import pytest

import portable_nn as pnn
from portable_nn.storage import fingerprints

STEPS = 40


def torch_rates(name, lr, steps=STEPS, **options):
    """Return the rates that a scheduler of torch gives to the first updates."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler, rates = getattr(torch.optim.lr_scheduler, name)(optimizer, **options), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def rates(schedule, steps=STEPS):
    return [schedule(step) for step in range(steps)]


def test_constant():
    assert rates(pnn.Constant(0.3)) == [0.3] * STEPS


def test_step_decay_equals_torch():
    expected = torch_rates("StepLR", 0.3, step_size=7, gamma=0.5)
    assert rates(pnn.StepDecay(0.3, every=7, factor=0.5)) == pytest.approx(expected, rel=1e-12)


def test_step_decay_falls_to_a_tenth():
    assert rates(pnn.StepDecay(1.0, every=2), 5) == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01])


def test_exponential_equals_torch():
    expected = torch_rates("ExponentialLR", 0.3, gamma=0.9)
    assert rates(pnn.Exponential(0.3, factor=0.9)) == pytest.approx(expected, rel=1e-12)


def test_exponential_reaches_the_factor_after_every():
    schedule = pnn.Exponential(0.8, every=4, factor=0.25)
    assert [schedule(step) for step in (0, 2, 4, 8)] == pytest.approx([0.8, 0.4, 0.2, 0.05])


def test_cosine_equals_torch_and_then_stays():
    # torch's own goes up again after T_max
    expected = torch_rates("CosineAnnealingLR", 0.3, steps=31, T_max=30, eta_min=0.02)
    schedule = pnn.Cosine(0.3, steps=30, final=0.02)
    assert rates(schedule, 31) == pytest.approx(expected, rel=1e-9)
    assert schedule(31) == schedule(10_000) == 0.02


def test_cosine_in_closed_form():
    schedule = pnn.Cosine(1.0, steps=6)
    assert [schedule(step) for step in (0, 2, 3, 4, 6)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


@pytest.mark.parametrize(("steps", "rise"), [(40, 0.3), (40, 0.25), (7, 0.5), (100, 0.05)])
def test_one_cycle_equals_torch(steps, rise):
    options = {"max_lr": 0.3, "total_steps": steps, "pct_start": rise, "div_factor": 10.0, "final_div_factor": 100.0}
    expected = torch_rates("OneCycleLR", 0.3, steps=steps - 1, cycle_momentum=False, **options)
    schedule = pnn.OneCycle(0.3, steps=steps, rise=rise, start_divisor=10.0, final_divisor=100.0)
    assert rates(schedule, steps - 1) == pytest.approx(expected, rel=1e-9)


def test_one_cycle_in_closed_form():
    schedule = pnn.OneCycle(0.5, steps=11, rise=6 / 11)  # up in updates 0 to 5, down in 5 to 10
    assert schedule(0) == pytest.approx(0.02)
    assert schedule(5) == pytest.approx(0.5)
    assert schedule(10) == schedule(999) == pytest.approx(2e-6)
    assert max(rates(schedule)) == schedule(5)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_few_steps_stays_in_range(steps):
    schedule = pnn.OneCycle(0.5, steps=steps)
    assert all(0.0 < rate <= 0.5 for rate in rates(schedule))
    assert schedule(steps - 1) == pytest.approx(2e-6)


def test_warm_up_in_closed_form():
    schedule = pnn.WarmUp(0.8, steps=4)
    assert rates(schedule, 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    schedule = pnn.WarmUp(0.8, steps=4, start=0.5)
    assert rates(schedule, 5) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.8])


def test_warm_up_equals_torch():
    # torch counts from the start factor itself, here from the first step after it
    expected = torch_rates("LinearLR", 0.3, start_factor=1 / 10, total_iters=9)
    assert rates(pnn.WarmUp(0.3, steps=10)) == pytest.approx(expected, rel=1e-12)


def test_warm_up_leads_to_another_schedule_at_its_start():
    schedule, after = pnn.WarmUp(pnn.Cosine(0.5, steps=20), steps=5), pnn.Cosine(0.5, steps=20)
    assert schedule(4) == after(0)
    assert [schedule(5 + step) for step in range(21)] == [after(step) for step in range(21)]


def test_multi_step_decay_equals_torch():
    expected = torch_rates("MultiStepLR", 0.3, milestones=[3, 10, 11], gamma=0.5)
    assert rates(pnn.MultiStepDecay(0.3, milestones=[3, 10, 11], factor=0.5)) == pytest.approx(expected, rel=1e-12)


def test_polynomial_equals_torch_and_then_stays():
    expected = torch_rates("PolynomialLR", 0.3, total_iters=30, power=1.7)
    assert rates(pnn.Polynomial(0.3, steps=30, power=1.7)) == pytest.approx(expected, rel=1e-9)
    assert pnn.Polynomial(0.3, steps=30, final=0.1)(31) == 0.1
    assert pnn.Polynomial(0.3, steps=4, final=0.1)(1) == pytest.approx(0.25)


@pytest.mark.parametrize(("up", "down", "factor", "mode"), [(4, 4, 1.0, "triangular"), (3, 5, 0.5, "triangular2")])
def test_cyclic_equals_torch(up, down, factor, mode):
    options = {"base_lr": 0.02, "max_lr": 0.3, "step_size_up": up, "step_size_down": down, "mode": mode}
    expected = torch_rates("CyclicLR", 0.3, cycle_momentum=False, **options)
    assert rates(pnn.Cyclic(0.3, lowest=0.02, up=up, down=down, factor=factor)) == pytest.approx(expected, rel=1e-9)
    assert rates(pnn.Cyclic(0.3, lowest=0.02, up=up)) == rates(pnn.Cyclic(0.3, lowest=0.02, up=up, down=up))


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_cosine_restarts_equal_torch(growth):
    expected = torch_rates("CosineAnnealingWarmRestarts", 0.3, T_0=5, T_mult=growth, eta_min=0.02)
    assert rates(pnn.CosineRestarts(0.3, steps=5, growth=growth, final=0.02)) == pytest.approx(expected, rel=1e-9)


def test_cosine_restarts_may_begin_lower():
    for growth in (1.0, 1.5):
        schedule = pnn.CosineRestarts(0.9, steps=4, growth=growth, factor=0.5, final=0.1)
        assert [schedule(step) for step in (0, 2, 4)] == pytest.approx([0.9, 0.5, 0.5])


def test_the_schedules_of_realmlp():
    # zeros, tops and mean as worked out from the formulas of its authors
    schedule = pnn.CosLog4(0.04, steps=100_000)
    for share in (0, 1 / 15, 1 / 5, 7 / 15, 1, 1.2):
        assert schedule(100_000 * share) == pytest.approx(0.0, abs=1e-12)
    for share in (0.02761424, 0.12189514, 0.31045695, 0.68758058):
        assert schedule(100_000 * share) == pytest.approx(0.04, rel=1e-9)
    assert sum(rates(schedule, 100_000)) / 100_000 == pytest.approx(0.04 * 0.4940, rel=1e-3)
    schedule = pnn.FlatCosine(0.15, steps=8)
    assert rates(schedule, 5) == [0.15] * 5
    assert schedule(6) == pytest.approx(0.075)
    assert schedule(8) == schedule(9) == pytest.approx(0.0, abs=1e-15)


def test_chain_equals_torch():
    torch = pytest.importorskip("torch")
    optimizer, expected = torch.optim.SGD([torch.zeros(1)], lr=0.3), []
    kinds = torch.optim.lr_scheduler
    parts = [kinds.ConstantLR(optimizer, factor=0.5, total_iters=100), kinds.ExponentialLR(optimizer, gamma=0.9)]
    scheduler = kinds.SequentialLR(optimizer, parts, milestones=[7])
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = pnn.Chain([0.15, pnn.Exponential(0.3, factor=0.9)], milestones=[7])
    assert rates(ours) == pytest.approx(expected, rel=1e-12)


def test_a_chain_tells_the_schedule_at_work_and_remembers():
    def chain():
        return pnn.Chain([0.5, pnn.ReduceOnPlateau(1.0, factor=0.5, patience=0), 0.1], milestones=[2, 8])

    schedule = chain()
    assert schedule(1) == 0.5
    schedule.observe(1.0)
    for loss in (2.0, 3.0):
        assert schedule(5) == 1.0
        schedule.observe(loss)
    assert schedule(6) == 0.5
    again = chain()
    again.restore(json.loads(json.dumps(schedule.state())))
    assert rates(again, 10) == rates(schedule, 10) == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1]


def slow(step):
    return 0.05 / (1 + step)


def test_any_function_is_a_schedule_and_told_by_its_name():
    assert fingerprints.schedule(slow) == f"{__name__}.slow"
    assert fingerprints.schedule(partial(pow, 0.5)) == {"kind": "builtins.pow", "arguments": [0.5], "options": {}}
    assert pnn.SGD(slow).lr == 0.05
    chain = fingerprints.schedule(pnn.Chain([slow, pnn.WarmUp(pnn.Cosine(0.1, steps=9), steps=2)], milestones=[3]))
    assert chain["schedules"][0] == f"{__name__}.slow"
    assert chain["schedules"][1]["schedule"] == {"kind": "Cosine", "lr": 0.1, "final": 0.0}


LOSSES = [
    3.0,
    2.0,
    2.0,
    1.9999,
    2.5,
    2.1,
    1.0,
    1.1,
    1.2,
    1.3,
    1.0,
    1.0,
    0.5,
    0.5,
    0.5,
    0.5,
    0.5,
    0.5,
    0.5,
    0.5,
    0.2,
    9.0,
]


@pytest.mark.parametrize(("patience", "cooldown", "threshold"), [(0, 0, 1e-4), (1, 0, 1e-4), (2, 3, 1e-4), (1, 2, 0.2)])
def test_reduce_on_plateau_equals_torch(patience, cooldown, threshold):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    options = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": threshold}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=0.01, **options)
    ours = pnn.ReduceOnPlateau(0.4, minimum=0.01, **options)
    for epoch, loss in enumerate(LOSSES):
        theirs.step(loss)
        ours.observe(loss)
        assert ours(epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12), f"epoch {epoch}"
    assert ours(0) < 0.4


def test_reduce_on_plateau_in_closed_form():
    schedule, seen = pnn.ReduceOnPlateau(1.0, factor=0.5, patience=1, minimum=0.3), []
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        schedule.observe(loss)
        seen.append(schedule(0))
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_warm_up_passes_what_it_is_told_on():
    schedule = pnn.WarmUp(pnn.ReduceOnPlateau(1.0, factor=0.5, patience=0), steps=1)
    for loss in (1.0, 2.0):
        schedule.observe(loss)
    assert schedule(1) == 0.5


def test_reduce_on_plateau_takes_nan_as_no_improvement():
    schedule = pnn.ReduceOnPlateau(1.0, factor=0.5, patience=0)
    for loss in (1.0, math.nan, 0.5):
        schedule.observe(loss)
    assert (schedule(0), schedule.best) == (0.5, 0.5)


def test_reduce_on_plateau_recovers_from_a_first_nan():
    schedule = pnn.ReduceOnPlateau(1.0, factor=0.5, patience=1)
    for loss in (math.nan, 3.0, 2.0, 1.0):
        schedule.observe(loss)
    assert (schedule(0), schedule.best) == (1.0, 1.0)


SCHEDULES = [
    pnn.Constant(0.1),
    pnn.StepDecay(0.1, every=3),
    pnn.Exponential(0.1, factor=0.9),
    pnn.Cosine(0.1, steps=5),
    pnn.WarmUp(0.1, steps=5),
    pnn.OneCycle(0.1, steps=5),
    pnn.ReduceOnPlateau(0.1),
    pnn.MultiStepDecay(0.1, milestones=[3, 5]),
    pnn.Polynomial(0.1, steps=5),
    pnn.Cyclic(0.1, lowest=0.01, up=3),
    pnn.CosineRestarts(0.1, steps=3),
    pnn.CosLog4(0.1, steps=5),
    pnn.FlatCosine(0.1, steps=5),
    pnn.Chain([0.1, pnn.Cosine(0.1, steps=5)], milestones=[3]),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_rates_are_python_floats_and_schedules_pickle(schedule):
    assert type(schedule(1)) is float
    assert rates(pickle.loads(pickle.dumps(schedule))) == rates(schedule)
    assert pnn.SGD(schedule).lr == schedule(0)


OUT_OF_RANGE = {
    "constant": lambda: pnn.Constant(0.0),
    "constant, NaN": lambda: pnn.Constant(math.nan),
    "step, rate": lambda: pnn.StepDecay(-0.1, every=1),
    "step, every": lambda: pnn.StepDecay(0.1, every=0),
    "step, factor": lambda: pnn.StepDecay(0.1, every=1, factor=0.0),
    "exponential, every": lambda: pnn.Exponential(0.1, every=-1, factor=0.9),
    "exponential, factor": lambda: pnn.Exponential(0.1, factor=-0.9),
    "cosine, steps": lambda: pnn.Cosine(0.1, steps=0),
    "cosine, rate": lambda: pnn.Cosine(math.inf, steps=5),
    "warm-up, steps": lambda: pnn.WarmUp(0.1, steps=0),
    "warm-up, rate": lambda: pnn.WarmUp(0.0, steps=5),
    "one-cycle, steps": lambda: pnn.OneCycle(0.1, steps=-5),
    "one-cycle, rise 0": lambda: pnn.OneCycle(0.1, steps=5, rise=0.0),
    "one-cycle, rise 1": lambda: pnn.OneCycle(0.1, steps=5, rise=1.0),
    "plateau, factor": lambda: pnn.ReduceOnPlateau(0.1, factor=0.0),
}
# Taken without a word today.
UNCHECKED = {
    "cosine, final below 0": lambda: pnn.Cosine(0.1, steps=5, final=-1.0),
    "cosine, final NaN": lambda: pnn.Cosine(0.1, steps=5, final=math.nan),
    "warm-up, start below 0": lambda: pnn.WarmUp(0.1, steps=5, start=-1.0),
    "one-cycle, start_divisor 0": lambda: pnn.OneCycle(0.1, steps=5, start_divisor=0.0),
    "one-cycle, final_divisor below 0": lambda: pnn.OneCycle(0.1, steps=5, final_divisor=-1.0),
    "plateau, factor above 1": lambda: pnn.ReduceOnPlateau(0.1, factor=2.0),
    "plateau, patience below 0": lambda: pnn.ReduceOnPlateau(0.1, patience=-1),
    "plateau, minimum above the rate": lambda: pnn.ReduceOnPlateau(0.1, minimum=0.5),
    "polynomial, power": lambda: pnn.Polynomial(0.1, steps=5, power=0.0),
    "milestones, none": lambda: pnn.MultiStepDecay(0.1, milestones=[]),
    "milestones that fall": lambda: pnn.MultiStepDecay(0.1, milestones=[5, 3]),
    "milestones, 0": lambda: pnn.MultiStepDecay(0.1, milestones=[0, 3]),
    "cyclic, lowest above the rate": lambda: pnn.Cyclic(0.1, lowest=0.2, up=3),
    "cyclic, up": lambda: pnn.Cyclic(0.1, lowest=0.0, up=0),
    "restarts, growth below 1": lambda: pnn.CosineRestarts(0.1, steps=3, growth=0.5),
    "coslog4, steps": lambda: pnn.CosLog4(0.1, steps=0),
    "flat cosine, steps": lambda: pnn.FlatCosine(0.1, steps=-1),
    "chain, milestones": lambda: pnn.Chain([0.1, 0.2], milestones=[3, 5]),
}


@pytest.mark.parametrize("mistake", OUT_OF_RANGE)
def test_an_argument_out_of_range_is_named(mistake):
    with pytest.raises(ValueError, match=r"^(lr|every|factor|steps|OneCycle) needs "):
        OUT_OF_RANGE[mistake]()


def test_milestones_are_whole_numbers():
    with pytest.raises(TypeError, match="MultiStepDecay needs milestones to be whole numbers"):
        pnn.MultiStepDecay(0.1, milestones=[0.5])


@pytest.mark.parametrize("mistake", UNCHECKED)
def test_every_argument_has_a_range(mistake):
    with pytest.raises(ValueError, match="needs"):
        UNCHECKED[mistake]()
