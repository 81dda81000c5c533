"""Checkpoints: a run that was stopped, in whatever way, goes on as if it had not been."""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.storage.checkpoints import Checkpoints, RunState, read

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((90, 6)).astype("float32"), RNG.integers(0, 3, 90)


def trainer(backend="numpy", **options):
    layers = pnn.Affine(6, 8), pnn.ReLU(), pnn.Dropout(0.3), pnn.Affine(8, 3)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0).to(backend)
    return pnn.Trainer(net, pnn.Adam(pnn.WarmUp(pnn.ReduceOnPlateau(0.02, patience=0), steps=20)), **options)


def fit(one, folder, epochs=6, **options):
    data = [one.network.place.asarray(X), one.network.place.asarray(T, one.network.place.index_dtype)]
    options = {"callbacks": [pnn.EarlyStopping(patience=50, restore_best=False)], "validation_split": 0.2} | options
    return one.fit(*data, epochs=epochs, batch_size=16, progress=False, checkpoint=folder, **options)


def ends_alike(one, other):
    """Assert that two runs ended with the same bits."""
    for name, array in one.network.parameters.items():
        np.testing.assert_array_equal(pnn.to_numpy(array), pnn.to_numpy(other.network.parameters[name]))
    for name, slots in one.optimizer.state.items():
        for slot, theirs in zip(slots, other.optimizer.state[name], strict=True):
            np.testing.assert_array_equal(pnn.to_numpy(slot), pnn.to_numpy(theirs))
    assert one.optimizer.steps == other.optimizer.steps
    assert one.optimizer.lr == other.optimizer.lr
    assert one.network.stream.position == other.network.stream.position
    assert one.epochs == other.epochs
    assert one.history.keys() == other.history.keys()
    for name in one.history.keys() - {"seconds"}:
        assert one.history[name] == other.history[name]


class Interrupting(pnn.Callback):
    """Presses Ctrl-C, so to say, in the middle of an epoch: when the network has taken so many random keys."""

    def __init__(self, network, key):
        original, stream = network.stream.next, network.stream

        def next_key():
            if stream.position == key:
                signal.raise_signal(signal.SIGINT)
            return original()

        stream.next = next_key


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "array_api_strict"])
@pytest.mark.parametrize("stopped", ["after an epoch", "within an epoch"])
def test_a_run_that_goes_on_ends_with_the_same_bits(backend, stopped, tmp_path, monkeypatch):
    if backend != "numpy":
        pytest.importorskip(backend)
    monkeypatch.setattr("portable_nn.training.compiled_step._STEPS", 2)
    whole = trainer(backend)
    fit(whole, tmp_path / "whole")
    first = trainer(backend)
    if stopped == "after an epoch":
        fit(first, tmp_path / "parts", epochs=2)
    else:
        Interrupting(first.network, key=12)
        assert fit(first, tmp_path / "parts").stopped == "interrupted in epoch 3"
    second = trainer(backend)
    history = fit(second, tmp_path / "parts", resume=True)
    assert len(history["loss"]) == 6
    ends_alike(second, whole)


def test_the_best_weights_are_remembered(tmp_path):
    whole, first, second = trainer(), trainer(), trainer()
    options = {"callbacks": [pnn.EarlyStopping(patience=50, monitor="val_accuracy")]}
    fit(whole, tmp_path / "whole", **options)
    fit(first, tmp_path / "parts", epochs=3, callbacks=[pnn.EarlyStopping(patience=50, monitor="val_accuracy")])
    fit(second, tmp_path / "parts", resume=True, callbacks=[pnn.EarlyStopping(patience=50, monitor="val_accuracy")])
    ends_alike(second, whole)
    assert second.history.best_epoch == whole.history.best_epoch


def test_another_backend_goes_on_within_rounding(tmp_path):
    pytest.importorskip("torch")
    whole, first, second = trainer(), trainer(), trainer("torch")
    fit(whole, tmp_path / "whole")
    fit(first, tmp_path / "parts", epochs=3)
    fit(second, tmp_path / "parts", resume=True)
    np.testing.assert_allclose(second.history["loss"], whole.history["loss"], rtol=1e-4)


def test_what_is_kept(tmp_path):
    one = trainer()
    history = fit(one, tmp_path, epochs=5, every=2)
    names = [path.name for path in Checkpoints(tmp_path).paths()]
    assert names == ["epoch-000004-step-000000000.safetensors", "epoch-000005-step-000000000.safetensors"]
    best = read(tmp_path / "best.safetensors")
    assert best.epoch in (2, 4, 5)
    assert history["val_loss"][best.epoch - 1] == min(history["val_loss"][i - 1] for i in (2, 4, 5))


def test_nothing_to_resume_is_a_beginning_and_a_finished_run_stays_finished(tmp_path):
    one, two = trainer(), trainer()
    fit(one, tmp_path / "a" / "b", resume=True)
    fit(two, tmp_path / "a" / "b", resume=True)
    ends_alike(one, two)


def test_a_new_run_does_not_push_out_the_checkpoints_of_another(tmp_path):
    fit(trainer(), tmp_path, epochs=2)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"has checkpoints of a run: go on with it \(resume=True, or --resume\)"):
        fit(trainer(), tmp_path, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_a_schedule_is_made_with_may_change(tmp_path):
    def cosine(epochs):
        net = pnn.Sequential(pnn.Affine(6, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
        return pnn.Trainer(net, pnn.SGD(pnn.Cosine(0.1, steps=epochs * 6)))

    data = X, T
    first, second = cosine(2), cosine(4)
    first.fit(*data, epochs=2, batch_size=15, progress=False, checkpoint=tmp_path)
    history = second.fit(*data, epochs=4, batch_size=15, progress=False, checkpoint=tmp_path, resume=True)
    np.testing.assert_allclose(history["lr"][2:], [0.05, 0.05 * (1 + np.cos(0.75 * np.pi))])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, lambda p: p.write_bytes(p.read_bytes()[:-9]), lambda p: p.write_bytes(b"")])
def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(damage, tmp_path):
    whole, second = trainer(), trainer()
    fit(whole, tmp_path)
    newest = Checkpoints(tmp_path).paths()[-1]
    damage(newest)
    with pytest.warns(UserWarning, match=f"{newest.name} .*damaged.*going on with an older checkpoint"):
        fit(second, tmp_path, resume=True)
    ends_alike(second, whole)


def test_if_all_are_damaged_that_is_an_error_and_nothing_is_changed(tmp_path):
    one = trainer()
    fit(one, tmp_path)
    for path in Checkpoints(tmp_path).paths():
        flip(path)
    two = trainer()
    before = [pnn.to_numpy(array) for array in two.network.parameters.values()]
    with (
        pytest.warns(UserWarning, match="going on with an older"),
        pytest.raises(pnn.CheckpointError, match="none of the 2 checkpoints"),
    ):
        fit(two, tmp_path, resume=True)
    for array, value in zip(two.network.parameters.values(), before, strict=True):
        np.testing.assert_array_equal(array, value)


OTHERS = {
    "batch_size": lambda one: {"batch_size": 9},
    "samples": lambda one: {"validation_split": 0.5},
    "shuffle": lambda one: {"shuffle": False},
    "callbacks": lambda one: {"callbacks": []},
    "optimizer": lambda one: setattr(one, "optimizer", pnn.SGD()) or {},
    "parameters": lambda one: setattr(one, "network", wider()) or {},
    "seed": lambda one: setattr(one.network, "seed", 5) or {},
}


def wider():
    return pnn.Sequential(pnn.Affine(6, 9), pnn.Affine(9, 3), loss=pnn.SoftmaxWithLoss(), seed=0)


@pytest.mark.parametrize("what", OTHERS)
def test_the_checkpoint_of_another_run_is_an_error(what, tmp_path):
    one, two = trainer(), trainer()
    fit(one, tmp_path, epochs=1)
    options = {"batch_size": 16, "validation_split": 0.2, "callbacks": [pnn.EarlyStopping(patience=50)]}
    options |= OTHERS[what](two)
    before = [pnn.to_numpy(array).copy() for array in two.network.parameters.values()]
    with pytest.raises(ValueError, match=f"the checkpoint is of another run: its {what} was"):
        two.fit(X, T, epochs=2, progress=False, checkpoint=tmp_path, resume=True, **options)
    for array, value in zip(two.network.parameters.values(), before, strict=True):
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resume": True}, "fit needs a checkpoint folder to resume from"), ({"checkpoint": "a", "every": 0}, "every")],
)
def test_bad_arguments(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        trainer().fit(X, T, progress=False, **options)
    assert not list(tmp_path.iterdir())


# Processes that end as processes do.

SCRIPT = textwrap.dedent(
    """
    import sys
    import numpy as np
    import portable_nn as pnn

    folder, epochs, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((4000, 20)).astype("float32"), rng.integers(0, 3, 4000)
    layers = pnn.Affine(20, 64), pnn.ReLU(), pnn.Dropout(0.2), pnn.Affine(64, 3)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    print("ready", flush=True)
    pnn.Trainer(net).fit(x, t, epochs=epochs, batch_size=50, progress=False, checkpoint=folder, resume=resume)
    net.save(folder + "/net.safetensors")
    print("done", flush=True)
    """
)


def process(folder, epochs=12, resume="resume"):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(epochs), resume]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
def test_a_run_survives_kills_at_any_instant(tmp_path):
    kills = int(os.environ.get("PORTABLE_NN_KILLS", "50"))
    whole = process(tmp_path / "whole", resume="new")
    assert "done" in whole.communicate()[0]
    wanted = pnn.load(tmp_path / "whole" / "net.safetensors")
    chance, done, runs = random.Random(0), 0, 0
    while done < kills:
        folder, finished = tmp_path / f"run {runs}", False
        runs += 1
        while not finished:
            running = process(folder)
            assert running.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.12))
            if done < kills:
                running.kill()
                done += running.wait() == -signal.SIGKILL
            out, errors = running.communicate()
            finished = "done" in out
            assert finished or running.returncode == -signal.SIGKILL, errors
        ended = pnn.load(folder / "net.safetensors")
        for name, array in wanted.parameters.items():
            np.testing.assert_array_equal(ended.parameters[name], array)
        assert not list(folder.glob(".epoch*.part"))


def test_sigterm_finishes_the_step_and_writes_a_checkpoint(tmp_path):
    running = process(tmp_path, epochs=10_000)
    wait_for(lambda: Checkpoints(tmp_path).paths())
    running.terminate()
    out, errors = running.communicate(timeout=60)
    assert running.returncode == -signal.SIGTERM, errors
    assert "done" not in out
    state = Checkpoints(tmp_path).newest()
    assert state.step > 0 or state.epoch > 0


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    running = process(tmp_path, epochs=10_000)
    wait_for(lambda: Checkpoints(tmp_path).paths())
    try:
        with pytest.raises(pnn.CheckpointError, match="another process trains in"):
            fit(trainer(), tmp_path)
    finally:
        running.kill()
        running.communicate()
    with Checkpoints(tmp_path).locked():  # a dead process keeps nobody out
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="resource is for POSIX")
def test_a_full_disk_leaves_the_checkpoints_that_were_there(tmp_path):
    import resource

    fit(trainer(), tmp_path, epochs=2)
    before = {path.name: path.read_bytes() for path in Checkpoints(tmp_path).paths()}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fit(trainer(), tmp_path, epochs=3, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert {path.name: path.read_bytes() for path in Checkpoints(tmp_path).paths()} == before
    assert not list(tmp_path.glob(".*.part"))


@contextmanager
def folder_of_somebody_whom_permissions_bind():
    """Be nobody, if we are root, and yield a folder of his."""
    if os.name != "posix":
        pytest.skip("permissions are POSIX's")
    fit(trainer(), None, epochs=1)  # nobody might not be allowed to read what is imported when it is needed
    with tempfile.TemporaryDirectory() as name:
        folder, nobody, root = Path(name), 65534, os.geteuid() == 0
        if root:
            os.chown(folder, nobody, nobody)
            os.setresuid(nobody, nobody, 0)
        try:
            yield folder
        finally:
            if root:
                os.setresuid(0, 0, 0)
            folder.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_step():
    one, untouched = trainer(), trainer()
    with folder_of_somebody_whom_permissions_bind() as folder:
        folder.chmod(0o555)
        for path in (folder, folder / "new"):
            with pytest.raises(PermissionError, match=re.escape(str(path))):
                fit(one, path)
        with pytest.raises(PermissionError):
            one.network.save(folder / "net.safetensors")
        assert not list(folder.iterdir())
    ends_alike(one, untouched)


def test_a_folder_that_becomes_read_only_keeps_the_checkpoints_that_were_there():
    with folder_of_somebody_whom_permissions_bind() as folder:

        class Protect(pnn.Callback):
            def on_epoch(self, trainer, epoch, record):
                if epoch == 3:
                    folder.chmod(0o555)

        with pytest.raises(PermissionError):
            fit(trainer(), folder, callbacks=[Protect()])
        folder.chmod(0o755)
        assert Checkpoints(folder).newest().epoch == 2


def test_what_a_dead_process_left_is_cleaned_up(tmp_path):
    (tmp_path / ".epoch-000001-step-000000000.safetensors.abc.part").write_bytes(b"torn")
    Checkpoints(tmp_path).write(RunState(1, 0, {}, {"a": np.ones(3)}))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001-step-000000000.safetensors"]


def test_the_best_checkpoint_alone_is_not_pushed_out_and_can_be_gone_on_with(tmp_path):
    fit(trainer(), tmp_path, epochs=3)
    for path in Checkpoints(tmp_path).paths():
        path.unlink()
    before = (tmp_path / "best.safetensors").read_bytes()
    with pytest.raises(ValueError, match="has checkpoints of a run"):
        fit(trainer(), tmp_path, epochs=1)
    assert (tmp_path / "best.safetensors").read_bytes() == before
    assert len(fit(trainer(), tmp_path, epochs=4, resume=True)["loss"]) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX's")
def test_a_forked_child_keeps_nobody_out_and_lets_nobody_in(tmp_path):
    script = textwrap.dedent(
        """
        import os, sys, time
        from portable_nn.storage.checkpoints import Checkpoints
        with Checkpoints(sys.argv[1]).locked():
            if not os.fork():
                print("child", os.getpid(), flush=True)
                time.sleep(60)
                os._exit(0)
            time.sleep(60)
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        child = int(running.stdout.readline().split()[1])
        try:
            with pytest.raises(pnn.CheckpointError, match="another process"), Checkpoints(tmp_path).locked():
                pass  # the child has let go, its parent has not
            running.kill()
            running.wait()
            os.kill(child, 0)  # still alive
            with Checkpoints(tmp_path).locked():
                pass
        finally:
            os.kill(child, signal.SIGKILL)
