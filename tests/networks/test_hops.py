"""How many calls a reader follows, and Python makes, from a network's method to the kernels."""

import sys

import numpy as np

import portable_nn as pnn


def calls(function):
    """Return the functions of the library outside of the kernels that are called, as file and name."""
    found = []

    def seen(frame, event, _):
        path = frame.f_code.co_filename.replace("\\", "/")
        if event == "call" and "/portable_nn/" in path and "/kernels/" not in path and "/tests/" not in path:
            found.append(f"{path.rpartition('/portable_nn/')[2]}: {frame.f_code.co_name}")

    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(None)
    return found


def test_a_gradient_is_few_calls_away():
    net = pnn.Sequential(pnn.Affine(4, 8), pnn.ReLU(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    rng = np.random.default_rng(0)
    x, t = rng.random((16, 4), dtype=np.float32), rng.integers(0, 3, 16)
    net.gradient(x, t)
    found = calls(lambda: net.gradient(x, t))
    assert len(found) <= 45, "\n".join(found)
