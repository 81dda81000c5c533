"""On how many threads BLAS multiplies: by size, given back afterwards, also where several fits run at once."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import portable_nn as pnn
from portable_nn.kernels.fast import _numpy_threads, _openblas
from portable_nn.kernels.fast._numpy_threads import blas_threads, limited_threads

LARGE = 1e9


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Let BLAS have two threads."""
    monkeypatch.delenv("PORTABLE_NN_THREADS", raising=False)
    if blas_threads() is None:
        pytest.skip("NumPy's BLAS is none whose threads can be set")
    with threadpool_limits(limits=2):
        if blas_threads() != 2:
            pytest.skip("BLAS has one thread here")
        yield
        assert blas_threads() == 2


def counted():
    """Return what threadpoolctl says of NumPy's OpenBLAS."""
    (count,) = {info["num_threads"] for info in threadpool_info() if "numpy.libs" in info["filepath"]}
    return count


def test_small_products_get_one_thread_and_give_it_back():
    with limited_threads(1000):
        assert blas_threads() == counted() == 1
        with limited_threads(LARGE):
            assert blas_threads() == 1  # the smaller one counts
    assert blas_threads() == counted() == 2
    with limited_threads(LARGE):
        assert blas_threads() == 2


def test_an_error_gives_them_back():
    with pytest.raises(ZeroDivisionError), limited_threads(1000):
        raise ZeroDivisionError
    assert blas_threads() == 2


def test_a_number_and_the_variable_overrule(monkeypatch):
    with limited_threads(LARGE, 1):
        assert blas_threads() == 1
    with limited_threads(1000, 2):
        assert blas_threads() == 2
    monkeypatch.setenv("PORTABLE_NN_THREADS", "1")
    with limited_threads(LARGE):
        assert blas_threads() == 1
    with limited_threads(LARGE, 2):
        assert blas_threads() == 2
    monkeypatch.setenv("PORTABLE_NN_THREADS", "many")
    with pytest.raises(ValueError, match="PORTABLE_NN_THREADS needs to be a whole number"), limited_threads(LARGE):
        pass


def test_several_at_once_in_any_order():
    first, second = limited_threads(1000), limited_threads(1000)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == 1
    second.__exit__(None, None, None)
    assert blas_threads() == 2


class Watch(pnn.Callback):
    """Writes down how many threads there are."""

    def __init__(self):
        self.seen = set()

    def on_epoch(self, trainer, epoch, record):
        self.seen.add(blas_threads())


def fit(width, **options):
    watch = Watch()
    layers = pnn.Affine(64, width), pnn.ReLU(), pnn.Affine(width, 3)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    x, t = np.random.default_rng(0).standard_normal((64, 64)).astype("float32"), np.arange(64) % 3
    trainer = pnn.Trainer(net, pnn.SGD(0.1), **options)
    trainer.fit(x, t, epochs=2, batch_size=64, callbacks=[watch], progress=False)
    trainer.predict(x)
    trainer.evaluate(x, t)
    return watch.seen


def test_fit_follows_the_largest_product():
    assert fit(16) == {1}
    assert fit(8192) == {2}
    assert fit(16, threads=2) == {2}
    assert fit(8192, threads=1) == {1}


def test_a_wrong_number_is_refused():
    for threads in (0, -1, "two", 1.5, True):
        with pytest.raises(ValueError, match='threads needs to be "auto" or a whole number'):
            fit(16, threads=threads)


def test_estimators_follow_it_too():
    pytest.importorskip("sklearn")
    from portable_nn.adapters.sklearn import MLPClassifier

    watch = Watch()
    x, t = np.random.default_rng(0).standard_normal((64, 5)), np.arange(64) % 3
    estimator = MLPClassifier((8,), max_iter=500, tol=1.0, callbacks=[watch]).fit(x, t)
    estimator.predict(x)
    assert watch.seen == {1}


def test_fits_in_threads_give_back_what_there_was():
    runs = [threading.Thread(target=fit, args=(width,)) for width in (16, 64, 8192, 16)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert blas_threads() == 2
    assert not _numpy_threads._limits


def test_a_blas_that_cannot_be_asked_is_left_alone(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_openblas, "threads", lambda: None)
        assert blas_threads() is None
        with limited_threads(1000):
            pass
