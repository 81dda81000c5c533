"""Contestants in turns, round by round, each in its own process; medians, and ratios within rounds."""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Process", "Ratio", "best", "disagreements", "ratio", "time_in_turns"]

_ROOT = Path(__file__).parents[1]
_PAUSE = 0.02  # seconds in which the threads of the contestant before fall asleep


class Process:
    """A contestant's process, which answers one command at a time.

    Raises
    ------
    RuntimeError
        From `ask`, if the process ended, or if its answer is an error.
    """

    def __init__(self, name: str, threads: int):
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(threads)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def send(self, command: str) -> None:
        """Send a command, whose answer `receive` returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Return the answer to the command that was sent last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} ended: {self._errors.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return its answer."""
        self.send(command)
        return self.receive()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()


@dataclass(frozen=True)
class Ratio:
    """The median of a ratio over the rounds, and its quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """Return the ratio of two contestants' times, taken round by round: what slows a whole round cancels out."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high)


def best(times: Mapping[str, list[float]]) -> str | None:
    """Return the name with the least median; None if there are none."""
    return min(times, key=lambda name: statistics.median(times[name]), default=None)


def disagreements(curves: Mapping[str, list[float]], tolerance: float) -> list[str]:
    """Return a sentence for each curve that departs from the first one; curves without points agree with all."""
    (first, reference), *others = curves.items() or [("", [])]
    sentences: list[str] = []
    for name, curve in others:
        for step, (value, due) in enumerate(zip(curve, reference, strict=bool(curve and reference)), 1):
            if not abs(value - due) <= tolerance * abs(due):  # also where one is NaN
                sentences.append(f"{name} computes {value:.6g} in step {step}, {first} {due:.6g}")
                break
    return sentences


def time_in_turns(
    processes: list[Process], rounds: int, seconds: float, done: Callable[[], Any] = lambda: None
) -> dict[str, list[float]]:
    """Return the seconds of a step, by contestant and round. The order within a round is random.

    `done` is called after each measurement.
    """
    order = random.Random(0)
    times: dict[str, list[float]] = {process.name: [] for process in processes}
    for _ in range(rounds):
        for process in order.sample(processes, len(processes)):
            time.sleep(_PAUSE)
            times[process.name].append(process.ask(f"time {seconds}")["seconds"])
            done()
    return times
