"""Training on batches that are read ahead by a thread, and on data that is larger than memory."""

import ctypes
import gc
import itertools
import signal
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import is_on_cpu
from portable_nn.storage.checkpoints import Checkpoints
from portable_nn.training.batch_streams import read_ahead

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((90, 4)).astype("float32"), RNG.integers(0, 3, 90)
WEIGHT = RNG.random(90).astype("float32")
READER = "portable_nn: reads batches"


def network(xp="numpy"):
    layers = pnn.Affine(4, 8), pnn.ReLU(), pnn.Dropout(0.2), pnn.Affine(8, 3)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp)


def fit(net, *data, **options):
    return pnn.Trainer(net).fit(*data, progress=False, **{"epochs": 3} | options)


def batches(size=16, *arrays):
    return [tuple(array[i : i + size] for array in arrays or (X, T)) for i in range(0, 90, size)]


def weights(net):
    return [pnn.to_numpy(array).tobytes() for array in net.arrays()]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == READER]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    deadline = time.monotonic() + 5
    while readers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not readers()


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_train_as_the_arrays_they_are_cut_from(weighted, xp):
    data = (X, T, WEIGHT) if weighted else (X, T)
    streamed, whole = network(xp), network(xp)
    ours = fit(streamed, batches(16, *data), validation_data=batches(40))
    sample_weight = WEIGHT if weighted else None
    arrays = whole.place.asarray(X), T  # where JAX joins steps, whose sums round otherwise
    theirs = fit(whole, *arrays, batch_size=16, shuffle=False, sample_weight=sample_weight, validation_data=(X, T))
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=2e-6)
    np.testing.assert_allclose(ours["val_loss"], theirs["val_loss"], rtol=2e-6)
    np.testing.assert_allclose(ours["val_accuracy"], theirs["val_accuracy"])


def test_on_numpy_they_do_so_to_the_bit():
    streamed, whole = network(), network()
    fit(streamed, batches())
    fit(whole, X, T, batch_size=16, shuffle=False)
    assert weights(streamed) == weights(whole)


def test_a_function_of_the_epoch_gives_each_its_own_batches():
    asked, net = [], network()

    def of(epoch):
        asked.append(epoch)
        return iter(batches(30))

    history = fit(net, of, epochs=4)
    assert asked == [1, 2, 3, 4]
    assert len(history["loss"]) == 4


def test_a_generator_is_enough_for_one_epoch():
    assert len(fit(network(), iter(batches()), epochs=1)["loss"]) == 1


def test_evaluate_takes_batches_too():
    trainer = pnn.Trainer(network())
    assert trainer.evaluate(batches()) == pytest.approx(trainer.evaluate(X, T), rel=1e-6)


def test_weights_count_when_batches_are_evaluated():
    net = network()
    y = net.predict(X).astype(float)
    losses = np.log(np.exp(y).sum(axis=1)) - y[np.arange(90), T]
    scores = pnn.Trainer(net).evaluate(batches(16, X, T, WEIGHT))
    assert scores["loss"] == pytest.approx((WEIGHT * losses).sum() / WEIGHT.sum(), rel=1e-5)
    assert scores["accuracy"] == pytest.approx(np.average(y.argmax(axis=1) == T, weights=WEIGHT), rel=1e-5)


def test_the_thread_reads_while_the_network_trains():
    log = []

    def source():
        for i, batch in enumerate(batches()):
            log.append(f"read {i}")
            yield batch

    for i, _ in enumerate(read_ahead(source())):
        time.sleep(0.05)
        log.append(f"used {i}")
    assert log.index("read 1") < log.index("used 0")
    assert log.index("read 2") < log.index("used 0")
    assert log.index("read 4") > log.index("used 0")  # but not as far ahead as it can


@pytest.mark.parametrize("at", [0, 3])
def test_an_error_in_the_thread_reaches_the_caller(at, tmp_path):
    def source(epoch):
        for i, batch in enumerate(batches()):
            if i == at and epoch == 2:
                raise OSError("the disk is gone")
            yield batch

    net = network()
    with pytest.raises(OSError, match="the disk is gone") as raised:
        fit(net, source, checkpoint=tmp_path)
    place = "before the first batch of epoch 2" if at == 0 else "in batch 3 of epoch 2"
    assert raised.value.__notes__ == [place]
    assert any(frame.name == "source" for frame in raised.traceback)
    state = Checkpoints(tmp_path).newest()
    assert (state.epoch, state.step) == (1, at)
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(state.arrays[f"network/{name}"], array)
    goes_on, whole = network(), network()
    fit(goes_on, lambda epoch: batches(), checkpoint=tmp_path, resume=True)
    fit(whole, batches())
    assert weights(goes_on) == weights(whole)


def test_a_killed_thread_is_an_error_not_a_wait_for_ever():
    reached = threading.Event()

    def source():
        yield from batches()
        reached.set()
        for _ in itertools.repeat(None):  # Python can end a thread only between two of its instructions
            time.sleep(0.001)

    def kill():
        reached.wait()
        identity = ctypes.c_ulong(readers()[0].ident)
        assert ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(SystemExit)) == 1

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RuntimeError, match="the thread that reads batches was ended by SystemExit"):
        fit(network(), lambda epoch: source(), epochs=1)
    killer.join()


def test_a_thread_that_ends_without_a_word_is_an_error(monkeypatch):
    monkeypatch.setattr(threading.Thread, "run", lambda thread: None)
    with pytest.raises(RuntimeError, match="has ended without a word"):
        next(read_ahead(batches()))


def test_the_thread_ends_when_training_does():
    class Stop(pnn.Callback):
        def on_epoch(self, trainer, epoch, record):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(network(), lambda epoch: itertools.islice(itertools.cycle(batches()), 100), callbacks=[Stop()])
    with pytest.raises(pnn.ShapeError):  # in the middle of an epoch, with more to come
        fit(network(), [*batches(), (X[:, :2], T), *batches() * 10])


BAD = {
    "no batches": ([], ValueError, "at least one batch an epoch is needed, the iterable gave none"),
    "no pairs": ([X], TypeError, "batches need to be (x, t) or (x, t, sample_weight), got ndarray"),
    "too much": ([(X, T, WEIGHT, T)], TypeError, "(x, t) or (x, t, sample_weight), got 4 things"),
    "lists": ([([[1, 2], [3]], [0])], pnn.ShapeError, "x needs lists of equal lengths"),
    "another width": ([(X[:, :3], T)], pnn.ShapeError, "Affine needs x of shape (N, 4), got (90, 3)"),
    "labels out of range": ([(X, T + 5)], pnn.LabelError, "needs labels from 0 to 2"),
    "too few labels": ([(X, T[:80])], pnn.ShapeError, "needs t of shape (90,) or (90, 3), got (80,)"),
    "an empty batch": ([(X[:0], T[:0])], pnn.ShapeError, "at least one sample, got none"),
    "NaN": ([(X * np.nan, T)], ValueError, "x needs finite numbers, got nan at [0, 0]"),
    "an array": (X, TypeError, "targets t are needed beside an array x"),
    "a number": (3, TypeError, "an iterable of batches (x, t), or a function of the epoch"),
    "an iterator": (iter(batches()), ValueError, "an iterator can be gone through only once, but every"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_batches_are_refused_before_the_first_step(kind, tmp_path):
    source, error, message = BAD[kind]
    net = network()
    before = weights(net)
    trainer = pnn.Trainer(net)
    with pytest.raises(error) as raised:
        trainer.fit(source, epochs=3, progress=False, checkpoint=tmp_path)
    assert message in str(raised.value)
    assert weights(net) == before
    assert trainer.epochs == 0
    assert not Checkpoints(tmp_path).paths()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": WEIGHT}, "brings its weights itself"),
        ({"validation_split": 0.1}, "cannot be split"),
        ({"validation_data": 3}, "an iterable of batches"),
        ({"validation_data": iter(batches())}, "only once, but every epoch and recovery"),
        ({"epochs": 1, "recoveries": 1, "validation_data": iter(batches())}, "only once, but every epoch and recovery"),
    ],
)
def test_what_does_not_go_with_batches(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(network(), batches(), **options)


def test_progress_shows_the_total_once_it_is_known(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    pnn.Trainer(network()).fit(batches(), epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 2/2: 100%" in shown
    assert "180/180" in shown


def test_an_interrupted_run_goes_on_within_an_epoch_of_batches(tmp_path):
    net = network()

    def source(epoch):
        for i, batch in enumerate(batches()):
            if (epoch, i) == (2, 4):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                time.sleep(0.1)
            yield batch

    history = fit(net, source, checkpoint=tmp_path)
    assert history.stopped == "interrupted in epoch 2"
    assert 0 < Checkpoints(tmp_path).newest().step <= 4
    goes_on, whole = network(), network()
    resumed = fit(goes_on, lambda epoch: batches(), checkpoint=tmp_path, resume=True)
    assert resumed["loss"] == fit(whole, batches())["loss"]
    assert weights(goes_on) == weights(whole)


def test_fewer_batches_than_were_done_before_are_an_error(tmp_path):
    def failing(epoch):
        yield from batches()[:4]
        raise EOFError

    with pytest.raises(EOFError):
        fit(network(), failing, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="4 batches of this epoch were done before, but the iterable gives only 3 now"):
        fit(network(), lambda epoch: batches()[:3], checkpoint=tmp_path, resume=True)


def test_an_iterable_may_fill_the_same_memory_again():
    x, t = np.empty((16, 4), "float32"), np.empty(16, int)

    def reusing(epoch):
        for batch_x, batch_t in batches()[:5]:
            x[:], t[:] = batch_x, batch_t
            yield x, t

    reused, fresh = network(), network()
    fit(reused, reusing)
    fit(fresh, batches()[:5])
    assert weights(reused) == weights(fresh)


def test_ctrl_c_does_not_wait_for_a_batch_that_does_not_come(tmp_path):
    released = threading.Event()

    def source(epoch):
        yield from batches()[:4]
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        released.wait(20)

    started = time.monotonic()
    history = fit(network(), source, checkpoint=tmp_path)
    assert time.monotonic() - started < 5
    released.set()
    assert history.stopped == "interrupted in epoch 1"
    assert Checkpoints(tmp_path).newest().step == 4


def test_a_torch_dataloader_trains_a_network_on_torch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(T))
    loaded, whole = network("torch"), network("torch")
    fit(loaded, torch.utils.data.DataLoader(data, batch_size=16))
    fit(whole, batches())
    assert weights(loaded) == weights(whole)


@pytest.mark.parametrize("streamed", [True, False])
def test_the_bar_of_a_resumed_run_ends_at_its_end(streamed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    data = (batches(),) if streamed else (X, T)
    for epochs in (1, 3):
        pnn.Trainer(network()).fit(*data, epochs=epochs, checkpoint=tmp_path, resume=True)
    shown = capsys.readouterr().err
    assert "epoch 3/3: 100%" in shown
    assert "270/270" in shown


# Memory-mapped arrays.


@pytest.fixture
def mapped(tmp_path):
    rows, columns = 20_000, 500  # 40 MB
    path = tmp_path / "x.npy"
    array = np.lib.format.open_memmap(path, "w+", "float32", (rows, columns))
    array[:] = np.random.default_rng(0).standard_normal((rows, columns), dtype="float32")
    array.flush()
    del array
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"validation_split": 0.2}])
def test_memory_mapped_arrays_are_not_loaded(options, mapped):
    t = (np.asarray(mapped[:, 0]) > 0).astype("int64")
    net = pnn.Sequential(pnn.Affine(500, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
    gc.collect()
    tracemalloc.start()
    history = fit(net, mapped, t, epochs=2, batch_size=100, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert history["loss"][1] < history["loss"][0]
    assert peak < 8e6  # a batch of 1,024 to validate with is 2 MB, a block that is looked at 1 MB, labels are 160 KB


def test_they_train_as_arrays_in_memory(mapped):
    t = (np.asarray(mapped[:, 0]) > 0).astype("int64")
    ends = []
    for x in (mapped, np.array(mapped)):
        net = pnn.Sequential(pnn.Affine(500, 2), loss=pnn.SoftmaxWithLoss(), seed=0)
        fit(net, x, t, epochs=1, batch_size=100, validation_split=0.2)
        ends.append(weights(net))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (57, 3), (89, 2)])
def test_numbers_that_are_not_finite_are_found_wherever_they_are(bad, place, xp):
    x = X.copy()
    x[place] = bad
    net = network(xp)
    before = weights(net)
    found = pytest.raises(ValueError, match=rf"needs finite numbers, got {bad} at \[{place[0]}, {place[1]}\]")
    # Nobody waits to look at what is on a device already: there the loss shows it.
    trained = found if is_on_cpu(net.arrays()[0]) else pytest.raises(pnn.DivergenceError, match="became NaN or inf")
    with trained:
        fit(net, net.place.asarray(x), T)
    with found:
        fit(net, net.place.asarray(X), T, validation_data=(x, T))
    assert weights(net) == before


def test_finite_numbers_are_looked_for_in_blocks(mapped):
    x = np.array(mapped)
    x[19_999, 499] = np.nan
    with pytest.raises(ValueError, match=r"got nan at \[19999, 499\]"):
        fit(pnn.Sequential(pnn.Affine(500, 2), loss=pnn.SoftmaxWithLoss(), seed=0), x, np.zeros(20_000, int))
