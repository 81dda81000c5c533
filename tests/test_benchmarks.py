"""The benchmarks: that all contestants compute the same, and that what is made of their times is right."""

import dataclasses
import importlib.util
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

if not (ROOT := Path(__file__).parents[1]).joinpath("benchmarks", "__main__.py").exists():
    pytest.skip("the benchmarks are not beside the tests here", allow_module_level=True)
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `pytest` does not add the folder it runs in, `python -m pytest` does

from benchmarks import __main__ as command
from benchmarks import bounds, footprint, report, rounds, tournament
from benchmarks.contestants import CONTESTANTS
from benchmarks.contestants.loops import losses_of_means, spread
from benchmarks.workloads import WORKLOADS, Workload

pytestmark = pytest.mark.slow

SGD = Workload("tiny", (7, 5, 3), 20, rate=0.05, samples=410)
TINY = {
    "sgd": SGD,
    "deep": dataclasses.replace(SGD, sizes=(7, 5, 4, 3)),
    "adam": dataclasses.replace(SGD, optimizer="adam", rate=1e-3),
    "squares": Workload("tiny", (2, 6, 5, 1), 30, rate=0.01, activation="sigmoid", loss="squares", samples=30),
    "predict 1": Workload("tiny", (7, 5, 3), 1, None, samples=100),
    "predict 100": Workload("tiny", (7, 5, 3), 100, None, samples=100),
}
COMPILES = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")]
NAMES = [
    pytest.param(name, marks=COMPILES if name == "torch-compile" else [])
    for name, contestant in CONTESTANTS.items()
    if contestant.kind in ("ours", "peer") and name != "notes"
]


def prepared(name, workload):
    """Return the runner, or skip the test where there can be none here."""
    try:
        return CONTESTANTS[name].prepare(workload)
    except (ImportError, NotImplementedError) as reason:
        pytest.skip(f"{name}: {reason}")


@pytest.mark.parametrize("workload", TINY.values(), ids=TINY)
@pytest.mark.parametrize("name", NAMES)
def test_every_contestant_computes_the_same_and_runs_on(name, workload):
    due = prepared("notes", workload).curve(20)
    runner = prepared(name, workload)
    curve = runner.curve(20)
    assert rounds.disagreements({"notes": due, name: curve}, 1e-3) == []
    assert len(set(due)) > 1 or workload is TINY["predict 100"]
    runner.run(2 * runner.stride)


def test_training_lowers_the_plain_loss():
    curve = prepared("notes", dataclasses.replace(SGD, samples=20)).curve(50)
    assert curve[-1] < 0.9 * curve[0]


def test_fit_and_bare_steps_take_the_same_steps():
    workload = dataclasses.replace(SGD, epochs=True)
    fit, steps = (prepared(name, workload) for name in ("fit", "steps"))
    assert fit.stride == steps.stride == 21  # the last batch is of 10 samples
    np.testing.assert_allclose(fit.curve(1), steps.curve(1), rtol=1e-6)
    np.testing.assert_allclose(fit.curve(1), steps.curve(1), rtol=1e-6)


@pytest.mark.parametrize("workload", TINY.values(), ids=TINY)
def test_the_limit_makes_every_product_that_a_step_needs(workload, monkeypatch):
    from benchmarks.contestants import limit

    monkeypatch.setattr(limit, "_SECONDS", 1e-5)
    batch = workload.data()[0][: workload.batch]
    products = [(product.left(batch), product.right) for product in limit._products(workload)]
    assert sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b in products) == workload.multiplications
    runner = prepared("limit", workload)
    assert {len(calls) for calls in itertools.islice(runner.steps, 3)} == {
        len(products) + (workload.optimizer is not None)
    }
    runner.run(2)
    assert runner.curve(20) == []


def test_the_limit_reads_every_batch_where_it_lies(monkeypatch):
    from benchmarks.contestants import limit

    monkeypatch.setattr(limit, "_SECONDS", 1e-5)
    workload = dataclasses.replace(SGD, optimizer=None)
    results = []
    laid = limit._laid
    monkeypatch.setattr(limit, "_laid", lambda *given: results.append(laid(*given)) or results[-1])
    x, (product, *_) = workload.data()[0], limit._products(workload)
    runner = limit.prepare(workload)
    first = [matrix for matrix in results if matrix.shape == (workload.batch, product.right.shape[1])]
    for start in range(0, workload.rows, workload.batch):
        runner.run(1)
        expected = x[start : start + workload.batch] @ product.right
        assert any(np.allclose(matrix, expected, rtol=1e-5) for matrix in first)


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("orders", ["CCC", "FCF", "CFC", "KFF"])
def test_each_way_of_multiplying_gives_the_whole_product(orders, by_rows, blocks):
    from benchmarks.contestants import limit

    a, b = (np.random.default_rng(seed).random((6, 6), dtype=np.float32) for seed in (0, 1))
    way = limit.Way(tuple(orders), blocks, by_rows)
    matrices = limit.Matrices()
    out = way.room(a, b)
    way.call(matrices.laid(a, orders[0]), matrices.laid(b, orders[1]), out)()
    assert out.ctypes.data % 64 == 0
    np.testing.assert_allclose(out, a @ b, rtol=1e-5)


def test_a_matrix_and_its_transpose_share_their_copies():
    from benchmarks.contestants import limit

    a, matrices = np.random.default_rng(0).random((6, 4), dtype=np.float32), limit.Matrices()
    for order, other in ("CF", "FC"):
        np.testing.assert_array_equal(matrices.laid(a, order), a)
        np.testing.assert_array_equal(matrices.laid(a.T, other), a.T)
        assert np.shares_memory(matrices.laid(a, order), matrices.laid(a.T, other))
    assert not np.shares_memory(matrices.laid(a, "C"), matrices.laid(a, "F"))


def test_workloads_give_the_same_numbers_again():
    for workload in WORKLOADS.values():
        if workload.rows * workload.sizes[0] < 10**7:
            assert all(np.array_equal(*pair) for pair in zip(workload.data(), workload.data(), strict=True))
            x, t = workload.data()
            assert x.dtype == np.float32
            assert len(x) == len(t) == workload.rows
            assert workload.rows % workload.batch == 0
    assert sum(array.size for pair in SGD.weights() for array in pair) == SGD.parameters == 7 * 5 + 5 + 5 * 3 + 3


def test_losses_from_running_means_and_spread():
    assert losses_of_means([1.0, 1.5, 2.0]) == [1.0, 2.0, 3.0]
    y = np.array([[1.0, 3.0], [5.0, 7.0]])
    assert spread(y) == spread(y - np.log(np.exp(y).sum(axis=1, keepdims=True))) == 1.0


def test_a_ratio_is_taken_within_rounds():
    ratio = rounds.ratio([1.0, 20.0, 3.0, 8.0, 5.0], [2.0, 20.0, 1.5, 2.0, 5.0])  # .5, 1, 2, 4, 1
    assert (ratio.low, ratio.median, ratio.high) == (1.0, 1.0, 2.0)
    assert str(ratio) == "1.00 (1.00-2.00)"
    assert rounds.ratio([3.0], [2.0]) == rounds.Ratio(1.5, 1.5, 1.5)


def test_the_best_has_the_least_median():
    assert rounds.best({"a": [1.0, 9.0, 9.0], "b": [2.0, 2.0, 99.0]}) == "b"
    assert rounds.best({}) is None


def test_a_curve_that_departs_is_named_with_its_step():
    curves = {"a": [1.0, 2.0], "b": [1.0, 2.01], "c": [1.0, 2.0005], "d": [], "e": [float("nan"), 2.0]}
    wrong = rounds.disagreements(curves, 1e-3)
    assert wrong == ["b computes 2.01 in step 2, a 2", "e computes nan in step 1, a 1"]
    assert rounds.disagreements({}, 1e-3) == []


TIMES = {
    "W1": {
        "ours-numpy": [2e-4, 2e-4, 4e-4],
        "torch": [5e-4, 5e-4, 5e-4],
        "jax": [1e-4, 1e-4, 2e-4],
        "notes": [4e-4, 4e-4, 4e-4],
        "limit": [1e-4, 1e-4, 1e-4],
    },
    "W8-W1": {"fit": [3e-4, 3e-4], "steps": [2e-4, 2e-4]},
}


def test_ours_is_compared_with_the_best_peer_by_median():
    assert report.compared(TIMES["W1"], "ours-numpy", "best peer") == (rounds.Ratio(2.0, 2.0, 2.0), "JAX jit")
    ratio, label = report.compared(TIMES["W1"], "ours-numpy", "plain NumPy")
    assert (ratio.median, ratio.high, label) == (0.5, 0.75, "plain NumPy")
    assert report.compared(TIMES["W1"], "ours-numpy", "Keras") is None
    assert report.compared({}, "ours-numpy", "best peer") is None


def test_the_table_has_medians_and_ratios():
    lines = [line.strip() for line in report.text(TIMES, "1 thread").splitlines()]
    assert lines[0].split() == ["microseconds", "a", "step,", "1", "thread", "W1", "W8-W1"]
    assert "ours (NumPy)  200.0" in lines
    assert "ours (NumPy) / best peer  2.00 (2.00-2.00)" in lines
    assert "ours (NumPy) / limit  2.00 (2.00-3.00)" in lines
    assert lines[-6].split() == ["Trainer.fit", "/", "bare", "steps", "1.50", "(1.50-1.50)"]
    assert lines[-5] == "the best peer           JAX jit"
    assert lines[-2].startswith("W8-W1: an epoch of Trainer.fit: 784-50-10, sgd, 60,000 samples")


def test_results_name_the_processor(monkeypatch):
    fields = {"model name": "AMD EPYC", "vendor_id": "AuthenticAMD", "cpu family": "25", "model": "17"}
    monkeypatch.setattr(report._processor, "_fields", lambda: fields)
    named = "AMD EPYC, AuthenticAMD, family 25, model 17"
    assert report.heading().startswith(f"{named}; ")
    assert f"numpy {np.__version__}" in report.heading()
    assert report.machine()["processor"] == named


def test_only_what_is_behind_by_more_than_the_noise_is_behind():
    limits = {"W1": {"plain NumPy": 0.6, "best peer": 1.9}, "W2": {"best peer": 1.0}}
    assert bounds.behind(TIMES, limits) == ["W1: 2.00 (2.00-2.00) of the time of JAX jit, at most 1.90 is allowed"]
    noisy = {"W1": {"ours-numpy": [1.0, 1.0, 3.0, 3.0, 3.0], "notes": [2.0] * 5}}  # .5, .5, 1.5, 1.5, 1.5
    assert bounds.behind(noisy, {"W1": {"plain NumPy": 0.6}}) == []
    assert bounds.behind(noisy, {"W1": {"plain NumPy": 0.4}}) != []


def test_bounds_are_of_workloads_and_contestants_that_there_are():
    assert bounds.BOUNDS.keys() <= WORKLOADS.keys()
    labels = {contestant.label for contestant in CONTESTANTS.values()} | {"best peer"}
    assert {other for others in bounds.BOUNDS.values() for other in others} <= labels


def test_peak_memory_and_what_is_needed(monkeypatch):
    workload = dataclasses.replace(SGD, sizes=(300, 200, 10), optimizer="adam", samples=40)
    monkeypatch.setattr(footprint, "_WORKLOAD", workload)
    assert footprint.needed() == 4 * (4 * (300 * 200 + 200 + 200 * 10 + 10) + 20 * 210)
    assert 0.7 * footprint.needed() < footprint.memory()["peak"] < 20 * footprint.needed()
    measured = {"peak bytes": 3e6, "needed bytes": 2e6, "import seconds": 0.05}
    memory, imports = footprint.lines(measured)
    assert "3.0 MB, 1.50 times the 2.0 MB" in memory
    assert imports.endswith("50 ms")


@pytest.fixture
def no_footprint(monkeypatch):
    measured = {"peak bytes": 3e6, "needed bytes": 2e6, "import seconds": 0.05}
    monkeypatch.setattr(footprint, "measure", lambda: measured)


@pytest.mark.usefixtures("no_footprint")
def test_the_command_times_in_processes_and_writes_json_and_a_picture(tmp_path, capsys):
    line = "--workloads W6-1 --contestants ours-numpy,ours-cupy,notes,limit --threads 1 --rounds 3 --seconds 0.001"
    assert command.main([*line.split(), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "ours (NumPy) / plain NumPy" in out
    (path,) = tmp_path.glob("*.json")
    written = json.loads(path.read_text())
    assert written.keys() >= {"machine", "versions", "rounds", "left_out", "footprint", "seconds"}
    assert written["versions"]["numpy"] == np.__version__
    assert written["machine"]["cores"] >= 1
    times = written["seconds"]["1"]["W6-1"]
    assert times.keys() - {"ours-cupy"} == {"ours-numpy", "notes", "limit"}
    assert all(len(values) == 3 and min(values) > 0 and max(values) < 1 for values in times.values())
    if importlib.util.find_spec("matplotlib") is None:
        assert "no picture" in out
    else:
        assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("seconds", "status"), [(1e-9, 0), (1.0, 1)])
def test_the_quick_command_fails_where_a_bound_is_missed(monkeypatch, capsys, seconds, status):
    def compete(workloads, names, threads, rounds, *rest, **more):
        assert threads == 1
        assert {"ours-numpy", "notes"} <= set(names)
        row = {"ours-numpy": [seconds] * rounds, "notes": [1e-4] * rounds, "torch": [1e-4] * rounds}
        return tournament.Result({workload.name: row for workload in workloads}, {"jax": "not installed"})

    monkeypatch.setattr(command, "compete", compete)
    assert command.main(["--quick"]) == status
    out = capsys.readouterr().out
    assert out.count("is allowed") == status * sum(map(len, bounds.BOUNDS.values()))
    assert "left out: JAX jit: not installed" in out


def test_who_computes_something_else_is_not_timed(monkeypatch, capsys):
    class Liar:
        def __init__(self, name, threads):
            self.name = name

        def ask(self, command):
            return {"curve": [1.0, 2.0 if self.name == "notes" else 3.0]}

        def close(self):
            pass

    monkeypatch.setattr(tournament, "Process", Liar)
    assert command.main(["--quick", "--workloads", "W1", "--contestants", "notes,ours-numpy"]) == 1
    assert "W1: not all compute the same: ours (NumPy) computes 3 in step 2" in capsys.readouterr().err


def test_who_fails_is_left_out_and_one_of_ours_is_an_error(monkeypatch, capsys):
    class Broken:
        def __init__(self, name, threads):
            self.name = name

        def ask(self, command):
            if self.name != "notes":
                raise RuntimeError(f"{self.name} is broken")
            return {"curve": [1.0]} if command.startswith("prepare") else {"seconds": 1.0}

        def close(self):
            pass

    monkeypatch.setattr(tournament, "Process", Broken)
    line = ["--quick", "--workloads", "W1", "--rounds", "2", "--contestants"]
    assert command.main([*line, "notes,jax"]) == 0
    assert "left out: JAX jit: jax is broken" in capsys.readouterr().out
    assert command.main([*line, "notes,ours-jax"]) == 1
    told = capsys.readouterr()
    assert "failed: ours (JAX): ours-jax is broken" in told.err
    assert "plain NumPy" in told.out


def test_a_process_says_what_is_wrong_and_ends():
    process = rounds.Process("notes", 1)
    with pytest.raises(RuntimeError, match="KeyError: 'W99'"):
        process.ask("prepare W99 20")
    process.ask("prepare W3 2")
    assert 0 < process.ask("time 0.001")["seconds"] < 1
    process.close()
    gone = rounds.Process("nobody", 1)
    with pytest.raises(RuntimeError, match="KeyError: 'nobody'"):
        gone.receive()
    gone.close()
