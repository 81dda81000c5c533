"""Several threads at once: predictions on one network, and trainings beside each other, give what one thread gives."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

import portable_nn as pnn

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((200, 12)).astype("float32"), RNG.integers(0, 4, 200)


def network(backend="numpy", seed=0):
    layers = pnn.Affine(12, 20), pnn.ReLU(), pnn.Dropout(0.2), pnn.Affine(20, 16), pnn.Tanh(), pnn.Affine(16, 4)
    return pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=seed).to(backend)


def skip_without(backend):
    try:
        pnn.Place(backend)
    except (pnn.errors.MissingExtraError, pnn.errors.BackendError) as error:
        pytest.skip(f"missing backend {backend}: {error}")


def in_threads(*functions):
    """Run functions at once, and raise what one of them raises."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "cupy"])
def test_eight_threads_predict_what_one_predicts(backend):
    skip_without(backend)
    net, end = network(backend), time.monotonic() + (10 if backend == "numpy" else 3)
    batches = [net.place.asarray(X[:size]) for size in (1, 2, 3, 17, 60, 100, 150, 200)]
    wanted = [pnn.to_numpy(net.predict(batch)).copy() for batch in batches]

    def predicting(first):
        def run():
            i = first
            while time.monotonic() < end:
                i = (i + 1) % len(batches)
                np.testing.assert_array_equal(pnn.to_numpy(net.predict(batches[i])), wanted[i])

        return run

    in_threads(*map(predicting, range(8)))


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "cupy"])
def test_two_trainings_in_threads_are_those_one_after_the_other(backend):
    skip_without(backend)

    def training(seed, results):
        def run():
            trainer = pnn.Trainer(network(backend, seed), pnn.Adam(lr=0.01))
            trainer.fit(X, T, epochs=8, batch_size=30, progress=False, validation_split=0.2)
            results[seed] = [pnn.to_numpy(array) for array in trainer.network.parameters.values()]

        return run

    alone, together = {}, {}
    for seed in (1, 2):
        training(seed, alone)()
    in_threads(training(1, together), training(2, together))
    for seed in (1, 2):
        for one, other in zip(alone[seed], together[seed], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "steps"), [("numpy", 100_000), ("torch", 30_000), ("jax", 30_000)])
def test_memory_stays_flat(backend, steps):
    if backend != "numpy":
        pytest.importorskip(backend)
    resource = pytest.importorskip("resource")
    net = pnn.Sequential(pnn.Affine(12, 8), pnn.ReLU(), pnn.Affine(8, 4), loss=pnn.SoftmaxWithLoss(), seed=0).to(
        backend
    )
    trainer = pnn.Trainer(net, pnn.SGD(lr=0.001))
    x, t = net.place.asarray(X), net.place.asarray(T, net.place.index_dtype)

    def train(count):
        trainer.fit(x, t, epochs=count // 20, batch_size=10, progress=False)

    train(4_000)
    tracemalloc.start()
    train(2_000)
    before, peak = tracemalloc.get_traced_memory()[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.stop()
    train(steps - 8_000)
    tracemalloc.start()
    train(2_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after < before + 200_000  # bytes of Python's and NumPy's objects; the history is a few numbers an epoch
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < peak + 30_000  # kilobytes of the whole process, at most
