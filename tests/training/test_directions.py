"""What is better, smaller or larger: early stopping, schedules, best checkpoints; and what is no metric."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

import portable_nn as pnn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4)).astype("float32")
T = RNG.integers(0, 3, 60)


class Odd(pnn.metrics.Metric):
    """1 minus the accuracy, under a name that tells nothing, or the accuracy."""

    def __init__(self, better):
        super().__init__("odd")
        self.better = better

    def measure(self, t, y, weight):
        return pnn.metrics.Accuracy().measure(*pnn.metrics.answers.as_scores(t, y), weight)

    def result(self, right, total):
        share = float(right / total)
        return share if self.better == "max" else 1.0 - share


def trainer(metrics=("f1",), lr=0.01):
    net = pnn.Sequential(pnn.Affine(4, 8), pnn.ReLU(), pnn.Affine(8, 3), loss=pnn.SoftmaxWithLoss(), seed=0)
    return pnn.Trainer(net, pnn.Adam(lr), metrics=None if metrics is None else list(metrics))


def fit(trained, **options):
    return trained.fit(X, T, **{"epochs": 8, "validation_data": (X[:20], T[:20]), "progress": False} | options)


@pytest.mark.parametrize(
    ("monitor", "sign"),
    [("val_f1", -1), ("kind_roc_auc", -1), ("val_rmse", 1), ("val_log_loss", 1), ("r2", -1), ("brier", 1), ("mse", 1)],
)
def test_names_of_metrics_tell_what_is_better(monitor, sign):
    assert pnn.EarlyStopping(monitor=monitor).sign == sign


@pytest.mark.parametrize("better", ["max", "min"])
def test_a_metric_of_ones_own_tells_what_is_better(better):
    trained, stopping = trainer([Odd(better)], lr=0.3), pnn.EarlyStopping(50, monitor="val_odd")
    history = fit(trained, callbacks=[stopping])
    values = history["val_odd"]
    best = max(values) if better == "max" else min(values)
    assert values[history.best_epoch - 1] == best
    assert trained.evaluate(X[:20], T[:20])["odd"] == pytest.approx(best)


def test_where_nothing_tells_nothing_is_changed():
    trained = trainer([Odd(None)])
    before = [array.copy() for array in trained.network.arrays()]
    with pytest.raises(ValueError, match="EarlyStopping cannot tell from the name 'val_odd' whether smaller or larger"):
        fit(trained, callbacks=[pnn.EarlyStopping(monitor="val_odd")])
    with pytest.raises(ValueError, match=r"'odd_val' .* mode=\"max\" \(the metrics of the trainer are odd, f1\)"):
        fit(trainer([Odd("max"), "f1"]), callbacks=[pnn.EarlyStopping(monitor="odd_val")])
    with pytest.raises(ValueError, match=r"has only loss, .*; Trainer\(metrics=\[\"r2\"\]\) records it"):
        fit(trainer(["f1"]), callbacks=[pnn.EarlyStopping(monitor="val_r2")])
    with pytest.raises(ValueError, match="there is no metric 'F1', did you mean 'f1'"):
        trainer(["F1"])
    with pytest.raises(ValueError, match="fit cannot tell from the name 'odd'"):
        fit(trained, monitor="odd")
    with pytest.raises(ValueError, match="ReduceOnPlateau cannot tell from the name 'odd'"):
        pnn.ReduceOnPlateau(0.1, monitor="odd")
    with pytest.raises(ValueError, match="EarlyStopping watches 'val_f1': give fit validation_data"):
        fit(trainer(), callbacks=[pnn.EarlyStopping(monitor="val_f1")], validation_data=None)
    for array, now in zip(before, trained.network.arrays(), strict=True):
        np.testing.assert_array_equal(array, now)
    fit(trained, callbacks=[pnn.EarlyStopping(monitor="val_odd", mode="max")])


def test_a_plateau_of_a_metric_that_is_better_if_larger():
    rises, falls = pnn.ReduceOnPlateau(1.0, patience=0, monitor="val_f1"), pnn.ReduceOnPlateau(1.0, patience=0)
    for value in (0.1, 0.2, 0.3):
        for schedule in (rises, falls):
            pnn.schedules.observe_epoch(schedule, {"loss": 1.0, "val_loss": value, "val_f1": value})
    assert rises.lr == 1.0
    assert falls.lr == pytest.approx(0.01)
    schedule = pnn.WarmUp(pnn.ReduceOnPlateau(0.5, patience=0, threshold=10.0, monitor="val_f1"), steps=1)
    fit(trainer(lr=schedule), epochs=3)
    assert schedule.schedule.lr == pytest.approx(0.5 * 0.1**2)
    with pytest.raises(ValueError, match="ReduceOnPlateau watches 'val_r2', but the epoch has only loss, f1"):
        fit(trainer(lr=pnn.ReduceOnPlateau(0.5, monitor="val_r2")))


def test_the_best_checkpoint_is_that_of_the_best_f1(tmp_path):
    trained = trainer(lr=0.3)
    history = fit(trained, checkpoint=tmp_path, monitor="val_f1")
    best = pnn.load(tmp_path / "best.safetensors")
    f1 = f1_score(T[:20], best.predict_labels(X[:20]), average="macro")
    assert f1 == pytest.approx(max(history["val_f1"]))
    assert f1 > history["val_f1"][-1]
    with pytest.raises(ValueError, match="its monitor"):
        fit(trainer(lr=0.3), checkpoint=tmp_path, resume=True, epochs=9)
    with pytest.raises(ValueError, match="its metrics"):
        fit(trainer(["f1", "accuracy"], lr=0.3), checkpoint=tmp_path, resume=True, epochs=9, monitor="val_f1")


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ("f1", TypeError, "needs metrics to be a list, got 'f1': write \\[\"accuracy\""),
        (["roc_auk"], ValueError, "there is no metric 'roc_auk', did you mean 'roc_auc'"),
        ([pnn.metrics.F1], TypeError, r"got the class F1: write F1\(\)"),
        ([3], TypeError, "needs metrics, their names or functions"),
        (["f1", pnn.metrics.F1("weighted")], ValueError, "two metrics are called 'f1': give one of them another name"),
        ([pnn.metrics.F1(name="loss")], ValueError, "needs a name that nothing else in a history has, got 'loss'"),
    ],
)
def test_what_is_no_metric_is_refused_when_the_trainer_is_made(metrics, error, message):
    with pytest.raises(error, match=message):
        pnn.Trainer(trainer().network, metrics=metrics)


def test_what_measures_no_output_is_refused_before_training():
    trained = trainer(["r2"])
    with pytest.raises(ValueError, match=r"R2.* compares values with targets, which SoftmaxWithLoss cannot say"):
        fit(trained)
    graph = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}, seed=0)
    x = graph.input("x")
    graph.output(kind=pnn.Affine(4, 3)(x), age=pnn.Affine(4, 1)(x))
    trained = pnn.Trainer(graph, metrics={"kin": ["f1"]})
    with pytest.raises(ValueError, match="metrics needs the names kind, age"):
        trained.fit(X, {"kind": T, "age": X[:, 0]}, progress=False)


def test_metrics_of_several_outputs_go_where_they_can(monkeypatch):
    graph = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.PoissonLoss()}, seed=0)
    x = graph.input("x")
    graph.output(kind=pnn.Affine(4, 3)(x), age=pnn.Affine(4, 1)(x))
    counts = RNG.poisson(3.0, (60, 1)).astype("float32")
    trained = pnn.Trainer(graph, metrics=["f1", "mae"])
    history = trained.fit(X, {"kind": T, "age": counts}, validation_split=0.3, epochs=1, progress=False)
    assert {"kind_f1", "val_kind_f1", "age_mae", "val_age_mae"} < set(history)
    y = graph.predict(X)
    mae = np.abs(np.exp(y["age"]) - counts).mean()  # in counts, whose logarithms the outputs are
    assert trained.evaluate(X, {"kind": T, "age": counts})["age_mae"] == pytest.approx(mae, rel=1e-5)
    assert trained.better == {"kind_f1": "max", "age_mae": "min"}
