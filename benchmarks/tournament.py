"""Everybody against everybody: contestants made ready, held to the same curve, and timed in turns."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.rounds import Process, disagreements, time_in_turns
from benchmarks.workloads import Workload

__all__ = ["CURVE_STEPS", "CURVE_TOLERANCE", "Result", "Say", "compete"]

CURVE_STEPS, CURVE_TOLERANCE = 20, 1e-3

Say = Callable[[str], Any]


@dataclass
class Result:
    """What a tournament gave.

    Attributes
    ----------
    times : dict
        The seconds of a step, by workload, contestant and round.
    left_out : dict
        Why, by contestant.
    failed : dict
        Why one of ours is among them, by contestant, where nothing was missing.
    """

    times: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def compete(
    workloads: list[Workload], names: list[str], threads: int, rounds: int, seconds: float, doing: Say, done: Say
) -> Result:
    """Return the times of contestants on as many threads and cores each.

    `doing` is told what is being done, `done` the name of each contestant that was timed.

    Raises
    ------
    RuntimeError
        If one computes another curve than the others.
    """
    result = Result()
    with ExitStack() as stack:
        processes = [Process(name, threads) for name in names]
        for process in processes:
            stack.callback(process.close)
        for workload in workloads:
            ready = _ready(processes, workload, result, doing)
            doing(f"{workload.name}, threads {threads}")
            count = max(2, rounds // 3) if workload.epochs else rounds
            result.times[workload.name] = time_in_turns(ready, count, seconds, done)
    return result


def _ready(processes: list[Process], workload: Workload, result: Result, doing: Say) -> list[Process]:
    """Return the processes that are ready for a workload and agree on what it computes."""
    ready: list[Process] = []
    curves: dict[str, list[float]] = {}
    for process in processes:
        contestant = CONTESTANTS[process.name]
        if process.name in result.left_out or not contestant.takes(workload):
            continue
        doing(f"{workload.name}, preparing {contestant.label}")
        try:
            answer = process.ask(f"prepare {workload.name} {CURVE_STEPS}")
        except RuntimeError as error:
            answer = {"missing": str(error)}
            if contestant.kind != "peer":
                result.failed[process.name] = str(error)
        if "missing" in answer:
            result.left_out[process.name] = answer["missing"]
        elif "unable" not in answer:
            ready.append(process)
            curves[contestant.label] = answer["curve"]
    # The plain one is the measure where it takes part.
    measure = CONTESTANTS["notes"].label
    wrong = disagreements({measure: curves.pop(measure)} | curves if measure in curves else curves, CURVE_TOLERANCE)
    if wrong:
        raise RuntimeError(f"{workload.name}: not all compute the same: {'; '.join(wrong)}")
    return ready
