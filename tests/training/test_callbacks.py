"""What comes with the library to watch a run, keep what becomes of it, and end it: in trainers and estimators alike."""

import copy
import csv
import pickle
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((60, 4)).astype("float32"), RNG.integers(0, 3, 60)
X2, T2 = RNG.standard_normal((30, 4)).astype("float32"), RNG.integers(0, 3, 30)
TEST = {"validation_data": (X2, T2)}


def network(xp=None):
    place = {} if xp is None else {"xp": xp.place.xp, "device": xp.place.device}
    layers = pnn.Affine(4, 8), pnn.ReLU(), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, **place)


def trained(*callbacks, trainer=None, **options):
    """Return a trainer after 4 epochs, or as many as the options say."""
    trainer = trainer or pnn.Trainer(network(), pnn.Momentum(0.1))
    trainer.fit(X, T, callbacks=callbacks, **{"epochs": 4, "batch_size": 20, "progress": False} | options)
    return trainer


def kill_in(epoch):
    """Return a callback that raises in an epoch: all that is written by then is what a kill leaves."""

    def fail(trainer, _, record):
        if trainer.epochs == epoch:
            raise OSError("killed")

    return pnn.OnEpoch(fail)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# A function.


def test_a_function_is_called_after_every_epoch_and_may_add_to_its_record(xp):
    seen = []

    def note(trainer, epoch, record):
        seen.append((trainer, epoch, record["loss"]))
        record["twice"] = 2 * record["loss"]

    trainer = trained(pnn.OnEpoch(note), trainer=pnn.Trainer(network(xp)))
    losses = trainer.history["loss"]
    assert seen == [(trainer, epoch, loss) for epoch, loss in enumerate(losses, 1)]
    assert trainer.history["twice"] == [2 * loss for loss in losses]


def test_a_bare_function_is_an_error_that_says_how_to_pass_it():
    with pytest.raises(TypeError, match=re.escape("callbacks[0] to be a Callback, got function")) as caught:
        trained(lambda trainer, epoch, record: None)
    assert "write pnn.OnEpoch(function)" in str(caught.value)
    with pytest.raises(TypeError, match="OnEpoch needs a function"):
        pnn.OnEpoch(3)


# CSVLog.


def test_the_table_has_a_row_an_epoch(tmp_path, xp):
    path = tmp_path / "deep" / "log.csv"
    trainer = trained(pnn.CSVLog(path), trainer=pnn.Trainer(network(xp)), **TEST)
    rows, history = table(path), trainer.history
    assert list(rows[0]) == ["epoch", *history]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for name in history:
        assert [float(row[name]) for row in rows] == history[name]


def test_a_run_that_is_killed_and_resumed_has_each_row_once(tmp_path):
    path, options = tmp_path / "log.csv", {"checkpoint": tmp_path / "run", "every": 2, **TEST}
    whole = trained(epochs=6, **TEST).history["val_loss"]
    with pytest.raises(OSError, match="killed"):  # after the row of epoch 4, and before its checkpoint
        trained(pnn.CSVLog(path), kill_in(4), epochs=6, **options)
    assert [row["epoch"] for row in table(path)] == ["1", "2", "3", "4"]
    trained(pnn.CSVLog(path), epochs=6, resume=True, **options)
    assert [float(row["val_loss"]) for row in table(path)] == whole
    assert [row["epoch"] for row in table(path)] == list("123456")


def test_another_fit_goes_on_and_a_new_run_begins_anew(tmp_path):
    log = pnn.CSVLog(tmp_path / "log.csv")
    trainer = trained(log, epochs=2)
    trained(log, trainer=trainer, epochs=1)
    assert [row["epoch"] for row in table(log.path)] == ["1", "2", "3"]
    trained(log, epochs=1, **TEST)
    (row,) = table(log.path)
    assert row["epoch"] == "1"
    assert row["val_loss"]


def test_a_value_that_comes_later_gets_a_column(tmp_path):
    def add(trainer, epoch, record):
        if epoch in (2, 4):
            record["a, b"] = epoch / 4

    trained(pnn.OnEpoch(add), pnn.CSVLog(tmp_path / "log.csv"))
    assert [row["a, b"] for row in table(tmp_path / "log.csv")] == ["", "0.5", "", "1.0"]
    assert all(row["seconds"] for row in table(tmp_path / "log.csv"))


def test_a_row_that_was_cut_short_is_written_anew(tmp_path):
    path, options = tmp_path / "log.csv", {"checkpoint": tmp_path / "run"}
    trained(pnn.CSVLog(path), epochs=3, **options)
    path.write_bytes(path.read_bytes()[:-7])
    trained(pnn.CSVLog(path), epochs=4, resume=True, **options)
    assert [row["epoch"] for row in table(path)] == ["1", "2", "4"]
    assert all(None not in row.values() for row in table(path))


def test_a_file_that_is_no_table_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    for content in ("dear diary\n", "no line", "epoch,loss\nmany,few\n", "epoch,loss\n\n,3\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match="which is no table of epochs"):
            trained(pnn.CSVLog(path))
        assert path.read_text() == content
    with pytest.raises(IsADirectoryError, match="the path of a file"):
        trained(pnn.CSVLog(tmp_path))
    path.write_text("")
    trained(pnn.CSVLog(path))
    assert len(table(path)) == 4


def test_a_killed_process_leaves_whole_rows(tmp_path):
    program = """
import sys, os, numpy as np, portable_nn as pnn
x, t = np.ones((8, 2), "float32"), np.zeros(8, int)
net = pnn.Sequential(pnn.Affine(2, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
stop = pnn.OnEpoch(lambda trainer, epoch, record: epoch == 3 and os.kill(os.getpid(), 9))
pnn.Trainer(net).fit(x, t, epochs=5, callbacks=[pnn.CSVLog("log.csv"), stop], progress=False)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60)
    text = (tmp_path / "log.csv").read_text()
    assert text.endswith("\n")
    assert [line.count(",") for line in text.splitlines()] == [3] * 4
    assert list(tmp_path.iterdir()) == [tmp_path / "log.csv"]


# SaveBest, SaveEvery.


def test_the_best_epoch_is_saved(tmp_path, xp):
    ends = []
    keep = pnn.OnEpoch(lambda trainer, epoch, record: ends.append(to_numpy(trainer.network.parameters["0.W"]).copy()))
    save = pnn.SaveBest(tmp_path / "deep" / "best.safetensors", "val_accuracy")
    trainer = trained(keep, save, trainer=pnn.Trainer(network(xp), pnn.SGD(1.0)), epochs=8, **TEST)
    best = int(np.argmax(trainer.history["val_accuracy"]))
    np.testing.assert_array_equal(pnn.load(save.path).parameters["0.W"], ends[best])


@pytest.mark.parametrize(("mode", "expected"), [("min", 1), ("max", 4)])
def test_the_mode_says_what_is_best(tmp_path, mode, expected):
    notes = pnn.OnEpoch(
        lambda trainer, epoch, record: (record.update(f1=epoch), trainer.network.notes.update(at=epoch))
    )
    trained(notes, pnn.SaveBest(tmp_path / "net.safetensors", "f1", mode=mode))
    assert pnn.load(tmp_path / "net.safetensors").notes["at"] == expected


def test_a_resumed_run_remembers_what_was_best(tmp_path):
    def values(*numbers):
        def number(trainer, epoch, record):
            record["score"], trainer.network.notes["at"] = numbers[epoch - 1], epoch

        return pnn.OnEpoch(number)

    path, options = tmp_path / "net.safetensors", {"checkpoint": tmp_path / "run"}
    trained(values(1, 3), pnn.SaveBest(path, "score"), epochs=2, **options)
    trained(values(0, 0, 2, 2), pnn.SaveBest(path, "score"), epochs=4, resume=True, **options)
    assert pnn.load(path).notes["at"] == 2
    trained(values(0, 0, 2, 2, 4), pnn.SaveBest(path, "score"), epochs=5, resume=True, **options)
    assert pnn.load(path).notes["at"] == 5
    with pytest.raises(ValueError, match=re.escape("callbacks (0.monitor) was score, now it is loss")):
        trained(pnn.SaveBest(path, "loss"), epochs=6, resume=True, **options)
    elsewhere = pnn.SaveBest(tmp_path / "other.safetensors", "score")  # a file may lie elsewhere
    trained(values(*[9] * 6), elsewhere, epochs=6, resume=True, **options)
    assert elsewhere.path.exists()


def test_an_average_is_what_is_saved(tmp_path):
    trainer = trained(pnn.EMA(0.9), pnn.SaveEvery(tmp_path / "net.safetensors"))
    np.testing.assert_array_equal(
        pnn.load(tmp_path / "net.safetensors").parameters["0.W"], trainer.network.parameters["0.W"]
    )


def test_files_of_every_few_epochs_are_named_by_what_is_recorded(tmp_path):
    save = pnn.SaveEvery(tmp_path / "{epoch:02}" / "{val_loss:.3f}.safetensors", epochs=2)
    trainer = trained(save, epochs=3, **TEST)
    losses = trainer.history["val_loss"]
    trained(save, trainer=trainer, epochs=1, **TEST)
    losses += trainer.history["val_loss"]
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.safetensors"))
    assert found == [f"02/{losses[1]:.3f}.safetensors", f"04/{losses[3]:.3f}.safetensors"]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: pnn.SaveBest("a", mode="up"), ValueError, 'SaveBest needs mode "min" or "max"'),
        (lambda: pnn.SaveBest("a", 3), TypeError, "SaveBest needs monitor to be a name"),
        (lambda: pnn.SaveEvery("a{", 1), ValueError, "SaveEvery needs a path for str.format"),
        (lambda: pnn.SaveEvery("a", 0), ValueError, "SaveEvery needs epochs to be a whole number of at least 1"),
        (lambda: pnn.TimeLimit(0), ValueError, "TimeLimit needs a number of seconds above 0, got 0"),
        (lambda: pnn.TimeLimit("1"), ValueError, "TimeLimit needs a number of seconds above 0, got '1'"),
        (lambda: pnn.Freeze("", until=2), TypeError, "Freeze needs a pattern of names"),
        (lambda: pnn.Freeze("0.*", until=0), ValueError, "Freeze needs until to be a whole number of at least 1"),
    ],
)
def test_wrong_arguments_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


class Applied(pnn.Layer):
    """A function as a layer, which no file can hold."""

    options = ("function",)

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward_pass(self, run, params, x):
        return self.function(x), None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_nothing_to_save_or_to_monitor_is_told_before_training(tmp_path):
    net = pnn.Sequential(pnn.Affine(4, 3), Applied(lambda x: x), loss=pnn.SoftmaxWithLoss(), seed=0)
    for save in (pnn.SaveBest(tmp_path / "a", "loss"), pnn.SaveEvery(tmp_path / "a")):
        with pytest.raises(TypeError, match="cannot save the network: it has options that JSON cannot say"):
            trained(save, trainer=pnn.Trainer(net))
    with pytest.raises(ValueError, match="SaveBest watches 'val_loss': give fit validation_data"):
        trained(pnn.SaveBest(tmp_path / "a"))
    with pytest.raises(ValueError, match="there are loss, lr, seconds, epoch"):
        trained(pnn.SaveEvery(tmp_path / "{val_loss}", epochs=100))
    with pytest.raises(ValueError, match="SaveBest watches 'score', but the epoch has only loss, lr, seconds"):
        trained(pnn.SaveBest(tmp_path / "a", "score"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_torn_by_an_error(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    trained(pnn.SaveEvery(path), epochs=1)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        trained(pnn.SaveEvery(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# TimeLimit.


def test_time_is_up_after_the_epoch(tmp_path):
    wait = pnn.OnEpoch(lambda trainer, epoch, record: time.sleep(0.06))
    limit, options = pnn.TimeLimit(0.1), {"checkpoint": tmp_path / "run"}
    history = trained(wait, limit, epochs=10, **options).history
    assert history.stopped == "the time limit of 0.1 s is over"
    assert 1 <= len(history["loss"]) <= 2
    again = trained(wait, limit, epochs=10, resume=True, **options).history  # a new process has as much again
    assert len(history["loss"]) < len(again["loss"]) < 10
    assert trained(pnn.TimeLimit(1e9), epochs=2).history.stopped == ""


# PrintLog.


def test_the_printed_table_marks_the_best(capsys):
    def values(trainer, epoch, record):
        record.clear()
        record.update(loss=[3.0, 1.0, 2.0, 1.0][epoch - 1], accuracy=[0.5, float("nan"), 0.5, 0.625][epoch - 1], lr=0.1)
        if epoch == 4:
            record["a_long_new_name"] = "x"

    trained(pnn.OnEpoch(values), pnn.PrintLog())
    assert capsys.readouterr().out.splitlines() == [
        "epoch       loss    accuracy          lr",
        "    1      3.000*     0.5000*     0.1000",
        "    2      1.000*        nan      0.1000",
        "    3      2.000      0.5000      0.1000",
        "epoch       loss    accuracy          lr   a_long_new_name",
        "    4      1.000      0.6250*     0.1000                 x",
    ]


def test_the_printed_table_of_a_resumed_run_knows_what_was_best(capsys, tmp_path):
    lower = pnn.OnEpoch(lambda trainer, epoch, record: record.update(score={1: 5, 2: 1, 3: 2, 4: 9}[epoch]))
    trained(lower, pnn.PrintLog(), epochs=2, checkpoint=tmp_path / "run")
    trained(lower, pnn.PrintLog(), epochs=4, checkpoint=tmp_path / "run", resume=True)
    rows = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("epoch")]
    assert [line.split()[-1] for line in rows] == ["5*", "1", "2", "9*"]  # whole numbers as they are


def test_the_printed_table_marks_metrics_by_their_direction(capsys):
    trained(pnn.PrintLog(), trainer=pnn.Trainer(network(), metrics=["f1"]), epochs=1)
    header, row = capsys.readouterr().out.splitlines()
    assert "f1" in header.split()
    assert dict(zip(header.split(), row.split(), strict=True))["f1"].endswith("*")


# The learning rate.


def test_the_history_has_the_learning_rate_of_every_epoch():
    trainer = trained(trainer=pnn.Trainer(network(), pnn.SGD(pnn.StepDecay(0.1, every=3, factor=0.5))))
    assert trainer.history["lr"] == [0.1, 0.05, 0.025, 0.0125]


# Freeze.


def weights_by_epoch(*callbacks, optimizer, fits=((5, {}),), **options):
    seen = []
    keep = pnn.OnEpoch(lambda trainer, epoch, record: seen.append(trainer.network.parameters["0.W"].copy()))
    trainer = pnn.Trainer(network(), optimizer)
    for epochs, more in fits:
        trained(keep, *callbacks, trainer=trainer, epochs=epochs, **options, **more)
    return seen, trainer


def test_freezing_until_an_epoch_is_the_group_of_the_optimizer():
    groups = {"0.*": {"lr_scale": 0.5}, "*.b": {"weight_decay": 0.0}}
    by_hand = {"0.*": {"lr_scale": 0.5, "frozen_until": 3}, "*.b": {"weight_decay": 0.0}}
    seen, trainer = weights_by_epoch(pnn.Freeze("0.*", until=3), optimizer=pnn.Adam(0.01, groups=groups))
    expected, _ = weights_by_epoch(optimizer=pnn.Adam(0.01, groups=by_hand))
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(seen[1], network().parameters["0.W"])
    assert not np.array_equal(seen[2], seen[1])
    assert trainer.optimizer.groups == groups


def test_freezing_counts_the_epochs_of_all_fits_and_ends_with_the_callback():
    freeze, other = pnn.Freeze("0.W", until=4), pnn.Freeze("*.b", until=9)
    seen, trainer = weights_by_epoch(freeze, other, optimizer=pnn.SGD(0.1), fits=[(2, {}), (2, {})])
    assert [np.array_equal(w, seen[0]) for w in seen] == [True, True, True, False]
    assert trainer.optimizer.groups == {}
    with pytest.raises(ValueError, match=re.escape("the pattern '7.*' in groups matches no parameter")):
        trained(other, pnn.Freeze("7.*", until=2), trainer=trainer)
    assert trainer.optimizer.groups == {}


def test_freezing_is_part_of_what_a_run_is(tmp_path):
    options = {"checkpoint": tmp_path / "run"}
    whole, _ = weights_by_epoch(pnn.Freeze("0.*", until=4), optimizer=pnn.Adam(0.01))
    weights_by_epoch(pnn.Freeze("0.*", until=4), optimizer=pnn.Adam(0.01), fits=[(3, {})], **options)
    with pytest.raises(ValueError, match="its optimizer"):
        weights_by_epoch(optimizer=pnn.Adam(0.01), fits=[(5, {"resume": True})], **options)
    again, _ = weights_by_epoch(
        pnn.Freeze("0.*", until=4), optimizer=pnn.Adam(0.01), fits=[(5, {"resume": True})], **options
    )
    np.testing.assert_array_equal(again, whole[3:])


# Copies, estimators, resumption.


def note(trainer, epoch, record):
    record["noted"] = epoch


def all_of(folder):
    return [
        pnn.OnEpoch(note),
        pnn.CSVLog(folder / "log.csv"),
        pnn.SaveBest(folder / "best.safetensors", "loss"),
        pnn.SaveEvery(folder / "{epoch}.safetensors", epochs=2),
        pnn.PrintLog(),
        pnn.TimeLimit(1000),
        pnn.Freeze("0.W", until=3),
    ]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_callbacks_are_whole(tmp_path, copied):
    (tmp_path / "a").mkdir()
    first = trained(*all_of(tmp_path / "a"))
    copies = [copied(callback) for callback in all_of(tmp_path / "a")]
    during = []
    take = pnn.OnEpoch(lambda trainer, epoch, record: epoch == 2 and during.extend(map(copied, copies)))
    assert trained(*copies, take).history["loss"] == first.history["loss"]
    assert trained(*during).history["loss"] == first.history["loss"]
    assert len(table(tmp_path / "a" / "log.csv")) == 4


def test_only_what_remembers_counts_when_a_run_is_resumed(tmp_path):
    trained(*all_of(tmp_path), epochs=2, checkpoint=tmp_path / "run")
    kept = [pnn.SaveBest(tmp_path / "best.safetensors", "loss"), pnn.Freeze("0.W", until=3)]
    trained(*kept, pnn.CSVLog(tmp_path / "other.csv"), epochs=3, resume=True, checkpoint=tmp_path / "run")
    assert [row["epoch"] for row in table(tmp_path / "other.csv")] == ["3"]
    with pytest.raises(ValueError, match="its callbacks was"):
        trained(kept[1], epochs=4, resume=True, checkpoint=tmp_path / "run")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("kind", ["MLPClassifier", "NetworkClassifier"])
def test_estimators_take_them_all(tmp_path, kind, capsys):
    pytest.importorskip("sklearn")
    from portable_nn.adapters import sklearn as adapter

    options = {"callbacks": all_of(tmp_path), "batch_size": 20, "random_state": 0}
    if kind == "MLPClassifier":
        estimator = adapter.MLPClassifier((8,), max_iter=4, tol=0.0, n_iter_no_change=99, **options)
    else:
        estimator = adapter.NetworkClassifier(network(), epochs=4, **options)
    estimator.fit(X, T)
    rows = table(tmp_path / "log.csv")
    assert [(row["epoch"], row["noted"]) for row in rows] == [(str(i), str(i)) for i in range(1, 5)]
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert (tmp_path / "4.safetensors").exists()
    estimator.partial_fit(X, T)
    estimator.partial_fit(X, T)
    rows = table(tmp_path / "log.csv")
    assert [row["epoch"] for row in rows] == list("123456")
    assert (tmp_path / "6.safetensors").exists()
    estimator.fit(X, T)
    assert len(table(tmp_path / "log.csv")) == 4


def test_an_estimator_refuses_a_bare_function():
    pytest.importorskip("sklearn")
    from portable_nn.adapters.sklearn import MLPClassifier

    with pytest.raises(TypeError, match=re.escape("write pnn.OnEpoch(function)")):
        MLPClassifier(callbacks=[note]).fit(X, T)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_what_an_estimator_has_saved_is_loaded(tmp_path):
    pytest.importorskip("sklearn")
    from portable_nn.adapters.sklearn import MLPClassifier

    save = pnn.SaveEvery(tmp_path / "net.safetensors")
    estimator = MLPClassifier((8,), max_iter=3, callbacks=[save], random_state=0).fit(X, T)
    y = pnn.load(save.path).predict(X)
    np.testing.assert_array_equal(estimator.classes_[y.argmax(axis=1)], estimator.predict(X))


# Progress.


def test_without_a_terminal_a_line_an_epoch_takes_the_place_of_the_bar(capsys):
    trainer = trained(progress=True, epochs=2, **TEST)
    shown = capsys.readouterr()
    history = trainer.history
    assert shown.out == ""
    for epoch, line in enumerate(shown.err.splitlines()):
        values = ", ".join(f"{name}={history[name][epoch]:.4f}" for name in ("loss", "val_loss", "val_accuracy"))
        assert line == f"epoch {epoch + 1}/2: {values}, {history['seconds'][epoch]:.3g} s"
    assert shown.err.count("\n") == 2
    trained(progress=False)
    assert capsys.readouterr().err == ""


def test_a_process_without_stderr_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    trained(progress=True, epochs=1)
