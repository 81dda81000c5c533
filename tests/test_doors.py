"""Arguments that are wrong in ways that people do get wrong: what was needed, what came, and what works."""

import numpy as np
import pytest

import portable_nn as pnn

X, T = np.random.default_rng(0).standard_normal((20, 3)).astype("float32"), np.arange(20) % 2


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        (pnn.Softmax, pnn.SoftmaxWithLoss),
        (pnn.Sigmoid, pnn.SigmoidWithLoss),
        (pnn.Softmax, pnn.SoftmaxFocalLoss),
        (pnn.Sigmoid, pnn.SigmoidFocalLoss),
    ],
)
def test_an_activation_that_the_loss_applies_is_warned_of(activation, loss):
    with pytest.warns(UserWarning, match=f"the network ends in {activation.__name__}, and {loss.__name__} takes raw"):
        pnn.Sequential(pnn.Affine(3, 2), activation(), loss=loss())
    pnn.Sequential(pnn.Affine(3, 2), activation(), pnn.Affine(2, 2), loss=loss())
    pnn.Sequential(pnn.Affine(3, 2), activation(), loss=pnn.MeanSquaredError())


def test_probabilities_where_their_logarithms_are_needed_are_warned_of():
    with pytest.warns(UserWarning, match="KLDivergence takes log-probabilities: let it end in LogSoftmax"):
        pnn.Sequential(pnn.Affine(3, 2), pnn.Softmax(), loss=pnn.KLDivergence())
    pnn.Sequential(pnn.Affine(3, 2), pnn.LogSoftmax(), loss=pnn.NegativeLogLikelihood())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.1}, "Adam has no option learning_rate: write lr"),
        ({"eps": 0.1}, "Adam has no option eps: write epsilon"),
        ({"weight_decai": 0.1}, "Adam has no option weight_decai: write weight_decay"),
        (
            {"nonsense": 1},
            "Adam has no option nonsense: there are lr, beta1, beta2, epsilon, epsilon_hat, amsgrad, weight_decay",
        ),
    ],
)
def test_options_of_optimizers_are_named_as_ours(options, words):
    with pytest.raises(TypeError, match=words):
        pnn.Adam(**options)


@pytest.mark.parametrize(
    ("name", "ours"), [("Dense", "Affine"), ("CrossEntropyLoss", "SoftmaxWithLoss"), ("relu", "ReLU")]
)
def test_names_of_other_libraries_are_told_as_ours(name, ours):
    with pytest.raises(AttributeError, match=f"portable_nn has no {name}: here it is called {ours}"):
        getattr(pnn, name)
    assert not hasattr(pnn, "nothing_like_it")


def test_a_node_is_given_out_once():
    g = pnn.Graph()
    node = pnn.Affine(3, 2)(g.input("x"))
    with pytest.raises(ValueError, match="each output needs to be another node, got affine1, affine1"):
        g.output(node, node)
    g.output(node)


def test_a_device_without_values_is_refused():
    pytest.importorskip("torch")
    with pytest.raises(pnn.BackendError, match='"meta" holds no values'):
        pnn.Sequential(pnn.Affine(3, 2), xp="torch", device="meta")


class Kept(pnn.Callback):
    """Has a state, or adds to the record, as it is told."""

    def __init__(self, state=None, record=None):
        self.kept, self.record, self.epochs = state, record or {}, 0

    def on_epoch(self, trainer, epoch, record):
        self.epochs = epoch
        record |= self.record

    def state(self):
        return self.kept, []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": object()}, "the state of Kept needs to be something that JSON can say"),
        ({"record": {"odd": object()}}, "the record of an epoch needs numbers for a checkpoint, got .* for 'odd'"),
    ],
)
def test_what_no_checkpoint_can_keep_is_named_at_the_first_epoch(options, words, tmp_path):
    net, callback = pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0), Kept(**options)
    with pytest.raises(TypeError, match=words):
        pnn.Trainer(net).fit(X, T, epochs=9, every=5, progress=False, callbacks=[callback], checkpoint=tmp_path / "run")
    assert callback.epochs <= 1
    pnn.Trainer(net).fit(X, T, epochs=2, progress=False, callbacks=[callback])
