"""Options of layers that follow a schedule: on every backend, resumed, and refused where nothing can follow."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn import to_numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5)).astype("float32")
T = (X @ RNG.standard_normal((5, 3))).argmax(1)


def network(xp="numpy", device=None, rate=0.5):
    inner = pnn.Sequential(pnn.Affine(5, 16), pnn.ReLU(), pnn.Dropout(rate))
    return pnn.Sequential(inner, pnn.Affine(16, 3), loss=pnn.SoftmaxWithLoss(), seed=0, xp=xp, device=device)


def falling():
    return pnn.ScheduledOption("rate", pnn.Polynomial(0.6, steps=20))


def fitted(net, callbacks, epochs=4, **options):
    options = {"batch_size": 12, "progress": False, "callbacks": callbacks} | options
    return pnn.Trainer(net, pnn.Adam(0.02)).fit(X, T, epochs=epochs, **options)


def test_the_rate_of_each_epoch_acts(xp):
    """Against a run in which somebody replaces the option by hand."""

    class ByHand(pnn.Callback):
        def on_start(self, trainer):
            trainer.network.layers[0].layers[2].rate = 0.6

        def on_epoch(self, trainer, epoch, record):
            trainer.network.layers[0].layers[2].rate = 0.6 * (1 - epoch / 4)

    where = xp.place.xp, xp.place.device
    found = fitted(network(*where), [falling()])["loss"]
    assert found == pytest.approx(fitted(network(*where), [ByHand()])["loss"], rel=1e-6)
    assert abs(found[-1] - fitted(network(*where), [])["loss"][-1]) > 1e-3


@pytest.mark.parametrize("every", [1, 2])
def test_a_run_resumes_to_the_bit(tmp_path, every):
    whole = fitted(net := network(), [falling()])
    folder = {"checkpoint": tmp_path / "run", "every": every, "resume": True}
    fitted(network(), [falling()], epochs=2, **folder)
    history = fitted(again := network(), [falling()], **folder)
    assert history["loss"] == whole["loss"]
    for one, other in zip(net.arrays(), again.arrays(), strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    with pytest.raises(ValueError, match=r"callbacks \(0.schedule"):
        fitted(network(), [pnn.ScheduledOption("rate", pnn.Cosine(0.6, steps=20))], epochs=6, **folder)


def test_patterns_choose_layers():
    first, other = pnn.Dropout(0.1), pnn.Dropout(0.1)
    layers = pnn.Affine(5, 8), first, pnn.Affine(8, 8), other, pnn.Affine(8, 3)
    net = pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0)
    fitted(net, [pnn.ScheduledOption("rate", pnn.Constant(0.4), layers="3")], epochs=1)
    assert (first.rate, other.rate) == (0.1, 0.4)


MISTAKES = {
    "no option": (("slope", pnn.Constant(0.1)), {}, ValueError, "no layer has it"),
    "no layer": (("rate", pnn.Constant(0.1)), {"layers": "7"}, ValueError, "those that have it are 0.2"),
    "a number": (("rate", 0.1), {}, TypeError, "a function of the number of updates"),
    "no name": ((pnn.Constant(0.1), "rate"), {}, TypeError, "option to be a text"),
    "one that observes": (("rate", pnn.ReduceOnPlateau(0.1)), {}, TypeError, "the option rate cannot follow"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(mistake):
    arguments, options, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        fitted(network(), [pnn.ScheduledOption(*arguments, **options)], epochs=1)
