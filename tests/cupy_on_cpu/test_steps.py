"""What a training step asks of a GPU: no value read back, no new memory, and of the host its batch alone."""

import itertools
import os
import threading

import numpy as np
import pytest

if os.environ.get("PORTABLE_NN_CUPY") != "stand-in":
    pytest.skip("needs PORTABLE_NN_CUPY=stand-in", allow_module_level=True)

import cupy
from cupy import _ledger

import portable_nn as pnn
from portable_nn.kernels import kernels_for
from portable_nn.training.step import training_step

SIZES = {"784-50-10": (784, 50, 10), "784-512-512-10": (784, 512, 512, 10)}
OPTIMIZERS = {
    "SGD": pnn.SGD,
    "Adam": pnn.Adam,
    "Adam, decay, clipping": lambda: pnn.Adam(weight_decay=1e-4, clip_norm=1.0),
}


def network(sizes):
    layers = [layer for pair in itertools.pairwise(sizes) for layer in (pnn.Affine(*pair), pnn.ReLU())]
    return pnn.Sequential(*layers[:-1], loss=pnn.SoftmaxWithLoss(), seed=0).to("cupy")


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.random((100, 784), dtype="float32"), rng.integers(0, 10, 100)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("sizes", SIZES)
def test_a_warm_step_reads_nothing_and_asks_for_no_memory(sizes, optimizer, batch):
    net = network(SIZES[sizes])
    step = training_step(net, OPTIMIZERS[optimizer]())
    x, t, _ = net.batch(*batch)
    for _ in range(3):
        step(x, t, None)
    with _ledger.counting() as counts:
        for _ in range(5):
            step(x, t, None)
    assert (counts.reads, counts.waits, counts.copies_in, counts.blocks) == (0, 0, 0, 0)
    assert counts.products == {"gemm": 5 * (3 * len(SIZES[sizes]) - 4)}
    assert counts.launches <= 5 * 20


def test_a_batch_that_is_fed_is_one_copy(batch):
    x, device = batch[0], cupy.cuda.Device(0)
    feed = kernels_for(pnn.Place("cupy").xp).feeder(device)
    orders = [np.random.default_rng(i).permutation(100)[:30] for i in range(6)]
    for order in orders[:2]:
        feed(x, order)
    with _ledger.counting() as counts:
        batches = [feed(x, order).get() for order in orders[2:]]
    assert (counts.copies_in, counts.launches, counts.blocks) == (4, 0, 0)
    for order, fed in zip(orders[2:], batches, strict=True):
        np.testing.assert_array_equal(fed, x[order])


def test_the_first_sum_on_a_stream_is_right_already():
    kernels = kernels_for(pnn.Place("cupy").xp)
    with cupy.cuda.Stream(non_blocking=True) as stream:  # which has tickets of its own
        y, t = cupy.ones((5000, 3), "float32"), cupy.zeros((5000, 3), "float32")
        assert float(kernels.squared_error(y, t, 1.0)) == 15_000.0
        assert kernels.affine_gradient_b(y).tolist() == [5000.0] * 3
        stream.synchronize()


def test_threads_on_default_streams_of_their_own_share_no_memory():
    kernels = kernels_for(pnn.Place("cupy").xp)
    stream = cupy.cuda.Stream.ptds  # one address in all threads
    results, turns = {}, threading.Barrier(2)

    def work(number):
        with stream:
            y, t = cupy.full((5000, 3), number, "float32"), cupy.zeros((5000, 3), "float32")
            losses = []
            for _ in range(3):
                turns.wait()  # the launches of both are in flight together
                losses.append(kernels.squared_error(y, t, 1.0))
                turns.wait()
                losses.append(kernels.affine_gradient_b(y))
            stream.synchronize()
            results[number] = [float(loss.sum()) for loss in losses]

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: 3 * [15_000.0 * n**2, 15_000.0 * n] for n in (1, 2)}
