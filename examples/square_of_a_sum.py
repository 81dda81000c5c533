"""z = (x + y)^2, taken apart: the chain rule on a graph of two nodes.

With s = x + y, dz/ds = 2 s, and ds/dx = ds/dy = 1: so dz/dx = dz/dy = 2 (x + y).
"""

import sys

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"

graph = pnn.Graph(xp=backend)
x, y = graph.input("x"), graph.input("y")
s = pnn.Add()(x, y, name="s")
graph.output(pnn.Power(2)(s, name="z"))

for a, b in ((1.0, 2.0), (-0.5, 4.0), (3.0, -3.0)):
    z = float(graph.forward(x=a, y=b))
    graph.backward()
    dx, dy, ds = (float(graph.gradients[name]) for name in ("x", "y", "s"))
    print(f"x = {a:g}, y = {b:g}: z = {z:g}, dz/ds = {ds:g}, dz/dx = {dx:g}, dz/dy = {dy:g}")
    assert z == (a + b) ** 2
    assert dx == dy == ds == 2 * (a + b)
print(f"dz/dx = dz/dy = 2 (x + y) on {backend}")
