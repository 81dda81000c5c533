"""Class weights by label, as scikit-learn takes them."""

import re

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import portable_nn as pnn
from portable_nn.adapters.sklearn import NetworkClassifier

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
        ("balance", ValueError, "C numbers, {label: number} or \"balanced\", got 'balance'"),
        ("balanced", ValueError, 'has class_weight="balanced", which fit works out from the targets'),
        (3.0, TypeError, 'class_weight to be C numbers, {label: number} or "balanced", got 3.0'),
        ({"cat": 1.0}, ValueError, "the labels of class_weight to be whole numbers, got 'cat'"),
        ({0: -1.0}, ValueError, "finite class weights of at least 0, got {0: -1.0}"),
        ({0: None}, TypeError, "got {0: None}"),
        ({4: 2.0}, pnn.ShapeError, "a class weight for 4, but y has 4 classes"),
    ],
)
def test_wrong_class_weights_are_named(weights, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        net(weights).loss(X, T)


RARE = np.asarray([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 3])


@pytest.mark.parametrize("one_hot", [False, True])
def test_balanced_weights_are_those_of_the_samples_trained_on(xp, one_hot):
    labels = np.unique(RARE)
    wanted = dict(zip(labels.tolist(), compute_class_weight("balanced", classes=labels, y=RARE), strict=True))
    t = np.eye(4, dtype=F32)[RARE] if one_hot else RARE
    network, given = net("balanced", xp), net(wanted, xp)
    losses = [pnn.Trainer(n).fit(X, t, epochs=2, batch_size=5, progress=False)["loss"] for n in (network, given)]
    assert network.loss_function.class_weight == pytest.approx(wanted, rel=1e-12)
    assert losses[0] == losses[1]


def test_samples_to_validate_with_do_not_count_for_the_balance():
    network = net("balanced")
    trainer = pnn.Trainer(network)
    trainer.fit(X, RARE, epochs=1, validation_split=0.5, progress=False)
    weights = network.loss_function.class_weight
    assert sum(6 / (len(weights) * weight) for weight in weights.values()) == pytest.approx(6)


def test_balanced_weights_are_saved_and_runs_with_them_go_on(tmp_path):
    options = {"checkpoint": tmp_path / "run", "progress": False}
    network = net("balanced")
    pnn.Trainer(network).fit(X, RARE, epochs=1, **options)
    network.save(tmp_path / "net.safetensors")
    assert pnn.load(tmp_path / "net.safetensors").loss_function.class_weight == network.loss_function.class_weight
    assert len(pnn.Trainer(net("balanced")).fit(X, RARE, epochs=2, resume=True, **options)["loss"]) == 2
    with pytest.raises(ValueError, match="another run"):
        pnn.Trainer(net("balanced")).fit(X, RARE[::-1], epochs=3, resume=True, **options)


def test_a_fit_that_is_refused_leaves_the_balance_to_the_next(tmp_path):
    class Refuses(pnn.Callback):
        def on_start(self, trainer):
            raise RuntimeError("no")

    network = net("balanced")
    with pytest.raises(RuntimeError):
        pnn.Trainer(network).fit(X, RARE, epochs=1, callbacks=[Refuses()], progress=False)
    assert network.loss_function.class_weight == "balanced"
    with pytest.raises(ValueError, match="give numbers for an iterable of batches"):
        pnn.Trainer(network).fit([(X, RARE)], epochs=1, progress=False)
    network.save(tmp_path / "net.safetensors")
    assert pnn.load(tmp_path / "net.safetensors").loss_function.class_weight == "balanced"


def test_estimators_balance_each_fit_and_refuse_a_part():
    def made(inputs, outputs):
        return pnn.Sequential(pnn.Affine(inputs, outputs), loss=pnn.SoftmaxWithLoss(class_weight="balanced"))

    estimator = NetworkClassifier(made, epochs=1, random_state=0, progress=False)
    for t in (RARE, RARE[::-1] % 2):
        weights = estimator.fit(X, t).network_.loss_function.class_weight
        wanted = compute_class_weight("balanced", classes=np.unique(t), y=t)
        np.testing.assert_allclose(list(weights.values()), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        NetworkClassifier(made, random_state=0, progress=False).partial_fit(X, RARE, classes=[0, 1, 3])
