"""A network with two inputs and two outputs: the halves of an image go in, the digit and its ink come out.

Inputs and outputs have names. Arrays go in and come out by them, from `fit` to `predict`, and each output has a loss of
its own; what is made small is their weighted sum.
"""

import sys

import portable_nn as pnn

backend = sys.argv[1] if len(sys.argv) > 1 else "numpy"
(x, t), (x_test, t_test) = pnn.datasets.load_digits()  # rows of 64 pixels, and which digit it is


def inputs(x):
    return {"top": x[:, :32], "bottom": x[:, 32:]}


def targets(x, t):
    return {"digit": t, "ink": x.mean(axis=1)}


g = pnn.Graph(
    loss={"digit": pnn.SoftmaxWithLoss(), "ink": pnn.MeanSquaredError()},
    loss_weights={"ink": 5.0},
    seed=0,
    xp=backend,
)
h = pnn.ReLU()(pnn.Affine(32, 48)(g.input("top")) + pnn.Affine(32, 48)(g.input("bottom")))
h = pnn.ReLU()(pnn.Affine(48, 32)(h))
g.output(digit=pnn.Affine(32, 10)(h), ink=pnn.Affine(32, 1)(h))
print(g.summary())

trainer = pnn.Trainer(g, pnn.Adam(3e-3))
history = trainer.fit(
    inputs(x),
    targets(x, t),
    epochs=30,
    validation_data=(inputs(x_test), targets(x_test, t_test)),
    callbacks=[pnn.EarlyStopping(8, monitor="val_digit_loss")],
    progress=False,
)
print("recorded:", ", ".join(history))

y = g.predict(inputs(x_test))
digits, ink = pnn.to_numpy(y["digit"]).argmax(axis=1), pnn.to_numpy(y["ink"])[:, 0]
accuracy, error = (digits == t_test).mean(), abs(ink - x_test.mean(axis=1)).mean()
assert abs(accuracy - g.accuracy(inputs(x_test), targets(x_test, t_test))["digit"]) < 1e-6
assert accuracy > 0.95
assert error < 0.1 * x_test.mean()
print(f"{accuracy:.4f} of the digits are right, their ink is off by {error:.4f} of {x_test.mean():.4f}, on {backend}")
