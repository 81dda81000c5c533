"""One sample in a hundred is a yes: an accuracy of 0.99 is that of always saying no, so other numbers must tell."""

import os
from pathlib import Path

import numpy as np

import portable_nn as pnn

folder = Path(os.environ.get("EXAMPLES_OUT", ".")) / "imbalanced"

# The data: six numbers a sample, and a risk that is no sum of them; the highest hundredth is a yes.
rng = np.random.default_rng(0)
x = rng.standard_normal((20_000, 6)).astype("float32")
risk = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3] ** 2 + 0.3 * rng.standard_normal(20_000)
t = (risk > np.quantile(risk, 0.99)).astype("int64")
x, x_val, x_test = np.split(x, [12_000, 16_000])
t, t_val, t_test = np.split(t, [12_000, 16_000])

# The network: one output, and a yes counts ten times as much as a no.
layers = pnn.Affine(6, 64), pnn.ReLU(), pnn.Affine(64, 64), pnn.ReLU(), pnn.Affine(64, 1)
net = pnn.Sequential(*layers, loss=pnn.SigmoidWithLoss(pos_weight=10.0), seed=0)
net.notes["classes"] = ["no", "yes"]

# The learning rate.
found = pnn.lr_range_test(pnn.Trainer(net, pnn.Adam()), x, t, batch_size=128, progress=False)
print(found)

# The training: the weights of the epoch with the best F1 of the yeses stay.
callbacks = [pnn.EarlyStopping(patience=15, monitor="val_f1"), pnn.CSVLog(folder / "log.csv")]
try:
    from portable_nn.adapters.tensorboard import TensorBoard

    callbacks.append(TensorBoard(folder / "events"))
except pnn.MissingExtraError as error:
    print(error)
trainer = pnn.Trainer(net, pnn.Adam(3 * found.suggestion), metrics=["accuracy", pnn.metrics.F1(), "average_precision"])
options = {"epochs": 100, "batch_size": 128, "validation_data": (x_val, t_val), "callbacks": callbacks}
history = trainer.fit(x, t, progress=False, **options)
print(f"{history.stopped or 'all epochs'}; the best was epoch {history.best_epoch}")

try:
    found.plot(folder / "rates.png")
    history.plot(folder / "history.png")
except pnn.MissingExtraError as error:
    print(error)

report = trainer.report(x_test, t_test)
print(report)
precise = trainer.evaluate(x_test, t_test)["average_precision"]
print(f"F1 of the yeses {report.f1[1]:.2f}, average precision {precise:.2f}; by chance {t_test.mean():.2f}")
assert report.f1[1] > 0.6
assert precise > 0.65
assert report.accuracy > report.baseline
