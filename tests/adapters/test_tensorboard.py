"""What is written for TensorBoard, read from its files: records of a length, its checksum, an event, its checksum."""

import copy
import pickle
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

pytest.importorskip("tensorboardX")
from tensorboardX.proto.event_pb2 import Event, SessionLog

from portable_nn.adapters.tensorboard import TensorBoard

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((60, 4)).astype("float32"), RNG.integers(0, 3, 60)


def network(xp=None):
    place = {} if xp is None else {"xp": xp.place.xp, "device": xp.place.device}
    return pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(), seed=0, **place)


def fit(watch, *others, xp=None, **options):
    options = {"epochs": 2, "batch_size": 20, "progress": False} | options
    return pnn.Trainer(network(xp), pnn.SGD(0.1)).fit(X, T, callbacks=[watch, *others], **options)


def events(folder):
    """Yield all events, as TensorBoard reads them: file after file."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]


def shown(folder):
    """Return {tag: {step: value}} of what TensorBoard shows: a session that starts at a step hides what is after it."""
    found = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            found = {tag: {s: v for s, v in by.items() if s < event.step} for tag, by in found.items()}
        for value in event.summary.value:
            number = value.histo if value.HasField("histo") else value.simple_value
            found.setdefault(value.tag, {})[event.step] = number
    return found


def close(found, expected):
    return list(found.values()) == pytest.approx(expected, rel=1e-6)


def test_the_values_of_epochs_stand_over_updates(tmp_path, xp):
    history = fit(TensorBoard(tmp_path / "deep" / "run"), xp=xp, validation_data=(X, T))
    found = shown(tmp_path / "deep" / "run")
    assert {*found} == {*history, "epoch"}
    assert list(found["epoch"].items()) == [(3, 1.0), (6, 2.0)]
    for name in history:
        assert close(found[name], history[name])


def test_the_values_of_every_few_updates(tmp_path, xp):
    losses = []

    class Losses(pnn.Callback):
        def on_batch(self, trainer, step, record):
            losses.append(float(record["loss"]))

    fit(TensorBoard(tmp_path, every=2), Losses(), xp=xp)
    found = shown(tmp_path)
    assert list(found["batch/loss"]) == [2, 4, 6]
    assert close(found["batch/loss"], losses[1::2])
    assert close(found["batch/lr"], [0.1] * 3)


def test_histograms_are_those_of_the_parameters(tmp_path, xp):
    ends = []
    keep = pnn.OnEpoch(lambda trainer, epoch, record: ends.append(to_numpy(trainer.network.parameters["0.W"]).copy()))
    fit(TensorBoard(tmp_path, histograms=True), keep, xp=xp)
    found = shown(tmp_path)
    for histogram, W in zip(found["0.W"].values(), ends, strict=True):
        assert (histogram.num, histogram.min, histogram.max) == (12, W.min(), W.max())
        assert histogram.sum == pytest.approx(W.sum(dtype="float64"))
    assert {*found} >= {"0.W", "0.b"}


def test_a_resumed_run_hides_what_was_written_of_the_same_updates(tmp_path):
    def go_on(epochs, run):
        watch = TensorBoard(tmp_path / "events", every=1)
        return fit(watch, epochs=epochs, checkpoint=tmp_path / run, resume=True)

    go_on(2, "run")
    shutil.copytree(tmp_path / "run", tmp_path / "as it was")
    go_on(3, "run")  # of which a kill leaves no checkpoint
    assert list(shown(tmp_path / "events")["loss"]) == [3, 6, 9]
    whole = go_on(4, "as it was")
    assert list(shown(tmp_path / "events")["loss"]) == [3, 6, 9, 12]
    assert sum(value.tag == "loss" for event in events(tmp_path / "events") for value in event.summary.value) == 5
    found = shown(tmp_path / "events")
    assert list(found["batch/loss"]) == list(range(1, 13))
    assert close(found["loss"], whole["loss"])
    fit(TensorBoard(tmp_path / "events"), epochs=1)
    assert list(shown(tmp_path / "events")["loss"]) == [3]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_no_file_of_its_own_before_it_runs(tmp_path, copied):
    copies = []
    take = pnn.OnEpoch(lambda trainer, epoch, record: copies.append(copied(watch)))
    watch = TensorBoard(tmp_path / "a", every=2)
    fit(watch, take)
    copies[0].folder = tmp_path / "b"
    fit(copies[0])
    before, after = shown(tmp_path / "a"), shown(tmp_path / "b")
    assert before["loss"] == after["loss"]
    assert before["batch/loss"] == after["batch/loss"]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_estimators_take_it(tmp_path):
    pytest.importorskip("sklearn")
    from portable_nn.adapters.sklearn import MLPClassifier, NetworkClassifier

    MLPClassifier((3,), max_iter=2, batch_size=20, callbacks=[TensorBoard(tmp_path / "a", every=2)]).fit(X, T)
    NetworkClassifier(network(), epochs=2, batch_size=20, callbacks=[TensorBoard(tmp_path / "b", every=2)]).fit(X, T)
    for folder in ("a", "b"):
        found = shown(tmp_path / folder)
        assert (list(found["loss"]), list(found["batch/loss"])) == ([3, 6], [2, 4, 6])


def test_mistakes_are_told(tmp_path):
    with pytest.raises(ValueError, match="TensorBoard needs every to be a whole number of at least 1, got 0"):
        TensorBoard(tmp_path, every=0)
    with pytest.raises(AttributeError, match=r"here it is called adapters\.tensorboard\.TensorBoard"):
        pnn.TensorBoard  # noqa: B018
    program = "import sys; sys.modules['tensorboardX'] = None; import portable_nn.adapters.tensorboard"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    message = 'TensorBoard needs the package tensorboardX: python -m pip install "portable-nn[tensorboard]"'
    assert f"MissingExtraError: {message}" in done.stderr
