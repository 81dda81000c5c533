"""Reports class by class, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import classification_report

import portable_nn as pnn

RNG = np.random.default_rng(0)
T, Y, W = RNG.integers(0, 3, 50), RNG.integers(0, 3, 50), RNG.uniform(0.1, 2.0, 50)
NAMES = ["ant", "bee", "cicada"]


@pytest.mark.parametrize("weight", [None, W])
def test_a_report_is_scikit_learns(weight):
    report = pnn.metrics.report(T, Y, NAMES, weight)
    theirs = classification_report(T, Y, target_names=NAMES, sample_weight=weight, output_dict=True)
    for i, name in enumerate(NAMES):
        ours = report.precision[i], report.recall[i], report.f1[i], report.support[i]
        np.testing.assert_allclose(ours, [theirs[name][k] for k in ("precision", "recall", "f1-score", "support")])
    for means, name in ((report.macro, "macro avg"), (report.weighted, "weighted avg")):
        np.testing.assert_allclose(means, [theirs[name][k] for k in ("precision", "recall", "f1-score")])
    assert report.accuracy == pytest.approx(theirs["accuracy"])
    shares = np.bincount(T, weight)
    assert report.baseline == pytest.approx(shares.max() / shares.sum())
    assert f"always {NAMES[shares.argmax()]}" in str(report)


def test_a_trainer_reports(xp):
    x, t = RNG.standard_normal((40, 4)).astype("float32"), RNG.integers(0, 3, 40)
    network = pnn.Sequential(pnn.Affine(4, 3), loss=pnn.SoftmaxWithLoss(ignore_label=-1), seed=0, xp=xp)
    network.notes["classes"] = NAMES
    t[:5] = -1
    labels = pnn.to_numpy(network.predict(x)).argmax(axis=1)
    assert pnn.Trainer(network).report(x, t, batch_size=7) == pnn.metrics.report(t[5:], labels[5:], NAMES)


def test_a_report_by_output():
    graph = pnn.Graph(loss={"kind": pnn.SoftmaxWithLoss(), "age": pnn.MeanSquaredError()}, seed=0)
    node = graph.input("x")
    graph.output(kind=pnn.Affine(4, 3)(node), age=pnn.Affine(4, 1)(node))
    x, t = RNG.standard_normal((40, 4)).astype("float32"), RNG.integers(0, 3, 40)
    graph.notes["classes"] = {"kind": NAMES}
    reports = pnn.Trainer(graph).report(x, {"kind": t, "age": x[:, :1]})
    labels = graph.predict(x)["kind"].argmax(axis=1)
    assert reports == {"kind": pnn.metrics.report(t, labels, NAMES)}


def test_a_report_in_a_notebook_is_a_table_with_names_as_they_are():
    text = pnn.metrics.report([0, 1], [0, 1], ["<b>", "&"])._repr_html_()
    assert text.startswith("<table>")
    assert "<td>&lt;b&gt;</td>" in text
    assert text.count("<tr>") == 7


def test_what_has_no_report():
    with pytest.raises(TypeError, match="a report needs a loss for classes, got MeanSquaredError"):
        pnn.Trainer(pnn.Sequential(pnn.Affine(1, 1), loss=pnn.MeanSquaredError())).report([[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="needs names for 3 classes, got 2"):
        pnn.metrics.report(T, Y, ["ant", "bee"])
    with pytest.raises(ValueError, match="needs classes, got the answers to 2 questions a row"):
        pnn.metrics.report([[0, 1]], [[0, 1]])


def test_scores_of_one_output_are_those_of_a_yes(xp):
    scores, t = xp.asarray([[0.5], [-2.0], [-0.1], [3.0]]), [1, 0, 1, 1]
    report = pnn.metrics.report(t, scores)
    assert (report.support, report.accuracy) == ([1.0, 3.0], 0.75)
    assert report.recall[1] == pytest.approx(2 / 3)
    assert pnn.metrics.F1()(t, scores) == pytest.approx(0.8)  # 2 of 2 and 2 of 3: 2 * 1 * 2/3 / (5/3)
    assert pnn.metrics.LogLoss()([1, 0], xp.asarray([[0.5], [0.5]])) == pytest.approx(np.log(2))


def test_a_label_without_a_score_is_refused(xp):
    with pytest.raises(pnn.LabelError, match=r"y of shape \(2, 2\) has scores for labels up to 1, t has 2"):
        pnn.metrics.report([0, 2], xp.asarray([[1.0, 0.0], [0.0, 1.0]]))
