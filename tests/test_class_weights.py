"""Class weights by label, as scikit-learn takes them."""

import re

import numpy as np
import pytest

import portable_nn as pnn

F32 = np.float32
X = np.random.default_rng(0).standard_normal((12, 3)).astype(F32)
T = np.arange(12) % 4


def net(weights, xp="numpy"):
    return pnn.Sequential(pnn.Affine(3, 4), loss=pnn.SoftmaxWithLoss(class_weight=weights), seed=0, xp=xp)


@pytest.mark.parametrize("t", [T, np.eye(4, dtype=F32)[T]])
def test_a_mapping_weighs_by_label_and_labels_left_out_by_one(xp, t):
    by_label, listed = net({2: 10, 0: 0.5}, xp), net([0.5, 1.0, 10.0, 1.0], xp)
    assert float(by_label.loss(X, t)) == float(listed.loss(X, t))
    trainers = [pnn.Trainer(network) for network in (by_label, listed)]
    losses = [trainer.fit(X, t, epochs=2, batch_size=5, progress=False)["loss"] for trainer in trainers]
    assert losses[0] == losses[1]
    scores = [trainer.evaluate(X, t, batch_size=5) for trainer in trainers]
    assert scores[0] == scores[1]


def test_class_weights_by_label_are_saved_and_runs_with_them_go_on(tmp_path):
    network = net({1: 10.0})
    network.save(tmp_path / "net.safetensors")
    loaded = pnn.load(tmp_path / "net.safetensors")
    assert loaded.loss_function.class_weight == {1: 10.0}
    assert float(loaded.loss(X, T)) == float(network.loss(X, T))
    options = {"checkpoint": tmp_path / "run", "progress": False}
    pnn.Trainer(network).fit(X, T, epochs=1, **options)
    assert len(pnn.Trainer(net({1: 10.0})).fit(X, T, epochs=2, resume=True, **options)["loss"]) == 2
    with pytest.raises(ValueError, match="another run"):
        pnn.Trainer(net({1: 9.0})).fit(X, T, epochs=3, resume=True, **options)


@pytest.mark.parametrize(
    ("weights", "kind", "message"),
    [
        ("balanced", ValueError, "C numbers or {label: number}, got 'balanced': weights that balance the classes are"),
        (3.0, TypeError, "class_weight to be C numbers or {label: number}, got 3.0"),
        ({"cat": 1.0}, ValueError, "the labels of class_weight to be whole numbers, got 'cat'"),
        ({0: -1.0}, ValueError, "finite class weights of at least 0, got {0: -1.0}"),
        ({0: None}, TypeError, "got {0: None}"),
        ({4: 2.0}, pnn.ShapeError, "a class weight for 4, but y has 4 classes"),
    ],
)
def test_wrong_class_weights_are_named(weights, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        net(weights).loss(X, T)
