"""Devices of CuPy, whose arrays are made on the current one: what is asked for is what is used, or refused."""

import os
import pickle

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import copies, namespaces
from portable_nn.errors import BackendError
from portable_nn.kernels import kernels_for

pytestmark = pytest.mark.skipif(
    os.environ.get("PORTABLE_NN_CUPY") != "stand-in", reason="needs two devices of CuPy: the stand-in has them"
)

X, T = np.random.default_rng(0).standard_normal((60, 6)).astype("float32"), np.arange(60) % 3


@pytest.mark.parametrize("device", ["cuda:7", "cuda:2", "<CUDA Device 7>", "cpu", 7, -1])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(BackendError, match=r"cupy has no device .*: there are cuda:0, cuda:1$"):
        pnn.Place("cupy", device)


@pytest.mark.parametrize("device", ["cuda:1", "gpu:1", 1])
def test_a_device_that_is_not_current_is_refused_with_the_way_there(device):
    with pytest.raises(BackendError, match=r"current device, cuda:0, .* cupy.cuda.Device\(1\)"):
        pnn.Place("cupy", device)


def test_the_current_device_is_the_default_and_has_its_name():
    import cupy

    assert pnn.Place("cupy") == pnn.Place("cupy", "cuda:0") == pnn.Place("cupy", cupy.cuda.Device(0))
    with cupy.cuda.Device(1):
        place = pnn.Place("cupy")
        assert place == pnn.Place("cupy", "cuda:1") == pickle.loads(pickle.dumps(place))
        assert place.device == cupy.cuda.Device(1)
        with pytest.raises(BackendError, match="current device, cuda:1"):
            pnn.Place("cupy", "cuda:0")
    assert place != pnn.Place("cupy")


def fails(text):
    def fail(*_, **__):
        raise RuntimeError(text)

    return fail


HEADERS = """Failed to find CUDA headers.

================================================================
    Install them with `pip install "cupy-cuda13x[ctk]"`
================================================================
"""


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("ones", fails(HEADERS), r"product on it failed: Failed to find CUDA headers. Install them with `pip .*\]\"`$"),
        ("ones", fails(""), r"product on it failed: RuntimeError$"),
        ("ones", np.zeros, r"got 0.0 where 2.0 was due$"),
        (
            "is_available",
            fails("libcuda.so.1: cannot open\nshared object"),
            r"does not load: libcuda.so.1: cannot open sh",
        ),
        ("is_available", lambda: False, r"finds no CUDA GPU"),
    ],
)
def test_what_is_wrong_with_the_set_up_is_one_line(monkeypatch, name, wrong, message):
    import cupy

    monkeypatch.setattr(cupy, name, wrong)
    namespaces._confirm_cuda.cache_clear()
    try:
        with pytest.raises(BackendError, match=message) as raised:
            pnn.Place("cupy")
        assert "\n" not in str(raised.value)
    finally:
        namespaces._confirm_cuda.cache_clear()


@pytest.mark.parametrize("on_device", [False, True])
def test_training_on_another_device_is_training(on_device):
    import cupy

    histories = []
    for number in (0, 1):
        with cupy.cuda.Device(number):
            layers = pnn.Affine(6, 8), pnn.ReLU(), pnn.Dropout(0.1), pnn.Affine(8, 3)
            net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0, xp="cupy", device=f"cuda:{number}")
            x = cupy.asarray(X) if on_device else X
            trainer = pnn.Trainer(net, pnn.Adam(clip_norm=1.0))
            histories.append(trainer.fit(x, T, epochs=3, batch_size=7, progress=False)["loss"])
            assert {array.device.id for array in net.arrays()} == {number}
            assert net.predict(X).device == cupy.cuda.Device(number)
    assert histories[0] == histories[1]


def test_copies_and_batches_go_where_their_arrays_are_whatever_is_current():
    import cupy

    with cupy.cuda.Device(1):
        array, device = cupy.asarray(X), cupy.cuda.Device()
    (copied,) = copies([array])
    assert copied.device == device
    batch = kernels_for(pnn.Place("cupy").xp).feeder(device)(X, np.arange(5))
    assert batch.device == device
    np.testing.assert_array_equal(batch.get(), X[:5])
