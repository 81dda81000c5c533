"""Two apples and three oranges, with tax: back-propagation on a computational graph, number by number.

Values flow forward from the inputs to what there is to pay; derivatives flow back and say how much the payment changes
with each input. The graph is made of the same kind of layers that make up networks.
"""

import sys

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"

graph = pnn.Graph(xp=backend)
apple_number, apple_price = graph.input("apple number"), graph.input("apple price")
orange_number, orange_price = graph.input("orange number"), graph.input("orange price")
tax = graph.input("tax")

apples = pnn.Mul()(apple_number, apple_price, name="apples")
oranges = pnn.Mul()(orange_number, orange_price, name="oranges")
goods = pnn.Add()(apples, oranges, name="goods")
graph.output(pnn.Mul()(goods, tax, name="payment"))

feeds = {"apple number": 2.0, "apple price": 100.0, "orange number": 3.0, "orange price": 150.0, "tax": 1.1}
graph.forward(**feeds)
graph.backward()
print(graph.to_mermaid())

values = {"apples": 200, "oranges": 450, "goods": 650, "payment": 715}
derivatives = {
    "goods": 1.1,
    "tax": 650,
    "apple price": 2.2,
    "apple number": 110,
    "orange price": 3.3,
    "orange number": 165,
}
for name, value in values.items():
    print(f"{name}: {float(graph.values[name]):.6g}")
    assert abs(float(graph.values[name]) / value - 1) < 1e-6
for name, derivative in derivatives.items():
    print(f"d payment / d {name}: {float(graph.gradients[name]):.6g}")
    assert abs(float(graph.gradients[name]) / derivative - 1) < 1e-6
print(f"all numbers as by hand, on {backend}")
