import re
from collections.abc import Callable
from typing import Any

import pytest

from portable_nn.arrays import Place
from portable_nn.cli import bench
from portable_nn.errors import BackendError, MissingExtraError

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_SIZES", ((4, 3, 2), (8, 16, 16, 2)))
    monkeypatch.setattr(bench, "_SECONDS", 1e-4)


def answering() -> list[str]:
    names: list[str] = []
    for backend, device in bench._PLACES:
        try:
            Place(backend, device)
        except (MissingExtraError, BackendError):
            continue
        names.append(f"{backend} {device}" if device else backend)
    return names


def test_every_backend_that_answers_is_timed_on_every_size(run: Run) -> None:
    result = run("bench --rounds 2 --batch-size 5")
    assert (result.status, result.err) == (0, "")
    title, head, *rows = result.out.split("\n\n")[0].splitlines()
    assert title == "training steps, batches of 5: microseconds, median of 2"
    assert re.split(r"\s{2,}", head.strip()) == ["network", "parameters", *answering(), "fastest"]
    assert [re.split(r"\s{2,}", row.strip())[:2] for row in rows] == [["4-3-2", "23"], ["8-16-16-2", "450"]]
    for row in rows:
        *times, fastest = re.split(r"\s{2,}", row.strip())[2:]
        micros = {name: int(text.replace(",", "")) for name, text in zip(answering(), times, strict=True)}
        assert all(value > 0 for value in micros.values())
        assert micros[fastest] == min(micros.values())


def test_the_fastest_backend_is_named_for_every_size(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_PLACES", (("numpy", None), ("nosuch", None)))
    monkeypatch.setattr(bench, "_places", lambda: {"numpy": Place("numpy"), "numpy again": Place("numpy")})
    times = iter([[2e-6, 1e-6], [3e-6, 4e-6]])
    monkeypatch.setattr(bench, "_times", lambda runs, rounds: next(times))
    lines = run("bench").out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["4-3-2", "23", "2", "1", "numpy", "again"],
        ["8-16-16-2", "450", "3", "4", "numpy"],
    ]
    assert lines[-2:] == ["numpy again is the fastest here for 4-3-2", "numpy is the fastest here for 8-16-16-2"]


def test_one_backend_for_several_sizes_is_one_line() -> None:
    assert bench._advice([("numpy", "a"), ("numpy", "b")]) == ["numpy is the fastest here for a, b"]


def test_a_missing_backend_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class OnlyNumpy(Place):
        def __init__(self, xp: str, device: Any = None):
            if xp != "numpy":
                raise MissingExtraError.of(xp, xp, f"the backend {xp}")
            super().__init__(xp, device)

    monkeypatch.setattr(bench, "Place", OnlyNumpy)
    result = run("bench --rounds 1")
    assert result.out.splitlines()[1].split() == ["network", "parameters", "numpy", "fastest"]
    assert result.out.splitlines()[-1] == "numpy is the fastest here for 4-3-2, 8-16-16-2"


def test_times_are_medians_of_seconds_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    seconds = iter([1.0, 1.0, 1.0, 5.0, 2.0, 3.0])  # two steps that warm up, one that counts, three rounds

    def take(steps: int) -> None:
        clock[0] += sum(next(seconds) for _ in range(steps))

    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    assert bench._times([take], rounds=3) == [3.0]
