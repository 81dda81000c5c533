"""An Affine layer taken apart: a matrix product, a bias repeated for each sample, and a sum; the same forward and back.

Repeating the bias (1, O) for N samples is what broadcasting does unseen. Its derivative runs the other way: the column
sums of the derivative by the output.
"""

import sys

import numpy as np

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
N, I, O = 5, 3, 4  # noqa: E741  (samples, inputs, outputs)

rng = np.random.default_rng(0)
x, W, b, dy = (rng.standard_normal(shape) for shape in ((N, I), (I, O), (1, O), (N, O)))

graph = pnn.Graph(xp=backend)
x_node, W_node, b_node = (graph.input(name) for name in ("x", "W", "b"))
product = pnn.MatMul()(x_node, W_node)
bias = pnn.Repeat(N, axis=0)(b_node)
graph.output(pnn.Add()(product, bias, name="y"))
y = graph.forward(x=x, W=W, b=b)
graph.backward(dy)

place = pnn.Place(backend)
layer = pnn.Affine.from_arrays(place.asarray(W), place.asarray(b[0]))
pairs = {"y": (y, layer.forward(x)), "dx": (graph.gradients["x"], layer.backward(dy))}
pairs["dW"] = graph.gradients["W"], layer.grads["W"]
pairs["db"] = graph.gradients["b"], layer.grads["b"]

for name, (from_nodes, from_layer) in pairs.items():
    from_nodes, from_layer = pnn.to_numpy(from_nodes), pnn.to_numpy(from_layer)
    difference = np.max(np.abs(from_nodes.reshape(from_layer.shape) - from_layer))
    print(f"{name} {from_nodes.shape}: largest difference {difference:.1e}")
    assert difference < 1e-6
print(f"the nodes make an Affine layer, forward and back, on {backend}")
