"""What the graph costs: forward and backward of three layers in a Sequential, beside a loop over the same layers.

Run with `python -m benchmarks.graph`. Both run in turn, round by round, on one thread of BLAS; the ratio is of medians.
"""

import statistics
import time

import numpy as np

import portable_nn as pnn
from benchmarks.threads import one_thread

ROUNDS = 2000


def main():
    net = pnn.Sequential(pnn.Affine(784, 50), pnn.ReLU(), pnn.Affine(50, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    rng = np.random.default_rng(0)
    x, t, _ = net.batch(rng.standard_normal((100, 784)).astype(np.float32), rng.integers(0, 10, 100))
    run, params, loss = net.run(training=True), net.arrays(), net.criterion
    named = [{"W": params[0], "b": params[1]}, {}, {"W": params[2], "b": params[3]}]

    def through_graph():
        return net.loss_and_gradients(run, params, x, t)[1]

    def by_hand():
        y, saved = x, []
        for layer, own in zip(net.layers, named, strict=True):
            y, keep = layer.forward_pass(run, own, y)
            saved.append(keep)
        _, keep = loss.forward_pass(run, {}, y, t)
        dy, grads = loss.gradient(run, keep), []
        for layer, own, keep in zip(reversed(net.layers), reversed(named), reversed(saved), strict=True):
            dy, layer_grads = layer.backward_pass(run, own, keep, dy)
            grads = [*layer_grads.values(), *grads]
        return grads

    for a, b in zip(through_graph(), by_hand(), strict=True):
        np.testing.assert_array_equal(a, b)
    times = {through_graph: [], by_hand: []}
    with one_thread():
        for _ in range(ROUNDS):
            for function, seconds in times.items():
                begin = time.perf_counter()
                function()
                seconds.append(time.perf_counter() - begin)
    graph, hand = (1e6 * statistics.median(seconds) for seconds in times.values())
    print(f"784-50-10, batch 100: graph {graph:.1f} us, loop by hand {hand:.1f} us, ratio {graph / hand:.3f}")


if __name__ == "__main__":
    main()
