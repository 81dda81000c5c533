"""The losses of the conformance table: y, t and perhaps sample weights to check each on."""

from typing import Any

import numpy as np

from portable_nn import losses
from portable_nn.testing.case import Case, Inputs

__all__ = ["LOSS_CASES"]


def _labels(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 4)), rng.integers(0, 4, 5)


def _labels_of_sequences(rng: np.random.Generator) -> tuple[Any, ...]:
    labels = np.where(rng.random((5, 3)) < 0.3, -100, rng.integers(0, 4, (5, 3)))
    return rng.standard_normal((5, 3, 4)), labels, rng.uniform(0.1, 2.0, (5, 3))


def _labels_of_images(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 4, 3, 2)), np.where(rng.random((5, 3, 2)) < 0.3, 255, rng.integers(0, 4, (5, 3, 2)))


def _distributions_of_images(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 4, 3, 2)), np.moveaxis(rng.dirichlet(np.ones(4), (5, 3, 2)), -1, 1)


def _one_hot(rng: np.random.Generator) -> tuple[Any, ...]:
    y, t = _labels(rng)
    return y, np.eye(4)[t]


def _distributions(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 4)), rng.dirichlet(np.ones(4), 5)


def _answers(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 3)), rng.integers(0, 2, (5, 3))


def _numbers(rng: np.random.Generator) -> tuple[Any, ...]:
    return 2 * rng.standard_normal((5, 3)), rng.standard_normal((5, 3))


def _counts(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 3)), rng.poisson(2.0, (5, 3)).astype(float)


def _images(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 2, 3, 2)), rng.standard_normal((5, 2, 3, 2))


def _signs(rng: np.random.Generator) -> tuple[Any, ...]:
    y, t = _answers(rng)
    return 2 * y, 2 * t - 1


def _gaussians(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 6)), rng.standard_normal((5, 3))


def _each_weighted(inputs: Inputs) -> Inputs:
    def given(rng: np.random.Generator) -> tuple[Any, ...]:
        y, t = inputs(rng)
        shape: tuple[int, ...] = t.shape
        return y, t, rng.uniform(0.1, 2.0, shape)

    return given


def _weighted(inputs: Inputs) -> Inputs:
    return lambda rng: (*inputs(rng), rng.uniform(0.1, 2.0, 5))


def _embeddings(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((7, 3)), np.array([4, 1, 4, -2, 1, 4, 9])


LOSS_CASES: dict[str, Case] = {
    "SoftmaxWithLoss": Case(losses.SoftmaxWithLoss, _labels),
    "SoftmaxWithLoss of one-hot": Case(losses.SoftmaxWithLoss, _one_hot),
    "SoftmaxWithLoss of distributions": Case(lambda: losses.SoftmaxWithLoss("sum"), _distributions),
    "SoftmaxWithLoss, all options": Case(
        lambda: losses.SoftmaxWithLoss(label_smoothing=0.2, class_weight=[1.0, 2.0, 0.5, 3.0]), _weighted(_labels)
    ),
    "SoftmaxWithLoss of sequences": Case(
        lambda: losses.SoftmaxWithLoss(class_weight=[1.0, 2.0, 0.5, 3.0], ignore_label=-100), _labels_of_sequences
    ),
    "SoftmaxWithLoss of images": Case(
        lambda: losses.SoftmaxWithLoss(label_smoothing=0.2, ignore_label=255), _labels_of_images
    ),
    "SoftmaxWithLoss of distributions of images": Case(losses.SoftmaxWithLoss, _weighted(_distributions_of_images)),
    "SoftmaxWithLoss, an axis said": Case(
        lambda: losses.SoftmaxWithLoss(axis=-1),
        lambda rng: (rng.standard_normal((5, 2, 3, 4)), rng.integers(0, 4, (5, 2, 3))),
    ),
    "SoftmaxWithLoss of each label": Case(
        lambda: losses.SoftmaxWithLoss("none", class_weight=[1.0, 2.0, 0.5, 3.0], ignore_label=-100),
        _labels_of_sequences,
    ),
    "SoftmaxWithLoss of each pixel": Case(
        lambda: losses.SoftmaxWithLoss("none", label_smoothing=0.2, ignore_label=255), _labels_of_images
    ),
    "SigmoidWithLoss, each weighted": Case(losses.SigmoidWithLoss, _each_weighted(_answers)),
    "SigmoidWithLoss, not summed": Case(lambda: losses.SigmoidWithLoss("none"), _weighted(_answers)),
    "MeanSquaredError, each weighted": Case(losses.MeanSquaredError, _each_weighted(_images)),
    "MeanSquaredError, not summed": Case(lambda: losses.MeanSquaredError("none"), _each_weighted(_images)),
    "MeanAbsoluteError, not summed": Case(lambda: losses.MeanAbsoluteError("none"), _numbers),
    "Huber, not summed": Case(lambda: losses.Huber("none", delta=0.8), _weighted(_numbers)),
    "PoissonLoss, not summed": Case(lambda: losses.PoissonLoss("none"), _each_weighted(_counts)),
    "SigmoidWithLoss": Case(losses.SigmoidWithLoss, _answers),
    "SigmoidWithLoss, weighted": Case(losses.SigmoidWithLoss, _weighted(_answers)),
    "MeanSquaredError": Case(losses.MeanSquaredError, _numbers),
    "MeanSquaredError of images": Case(losses.MeanSquaredError, _weighted(_images)),
    "MeanAbsoluteError": Case(lambda: losses.MeanAbsoluteError("sum"), _weighted(_numbers)),
    "Huber": Case(lambda: losses.Huber(delta=0.8), _numbers),
    "PoissonLoss": Case(losses.PoissonLoss, _counts),
    "PoissonLoss, weighted": Case(losses.PoissonLoss, _weighted(_counts)),
    "SigmoidWithLoss, pos_weight": Case(lambda: losses.SigmoidWithLoss(pos_weight=2.5), _weighted(_answers)),
    "SigmoidWithLoss, pos_weight of each output": Case(
        lambda: losses.SigmoidWithLoss("none", pos_weight=[0.5, 1.0, 3.0]), _weighted(_answers)
    ),
    "SigmoidWithLoss, pos_weight of images": Case(
        lambda: losses.SigmoidWithLoss(pos_weight=[0.5, 3.0]),
        lambda rng: (rng.standard_normal((5, 2, 3, 2)), rng.uniform(size=(5, 2, 3, 2))),
    ),
    "SigmoidFocalLoss": Case(losses.SigmoidFocalLoss, _answers),
    "SigmoidFocalLoss of shares, without alpha": Case(
        lambda: losses.SigmoidFocalLoss("none", gamma=1.5, alpha=None),
        lambda rng: (2 * rng.standard_normal((5, 3)), rng.uniform(size=(5, 3)), rng.uniform(0.1, 2.0, (5, 3))),
    ),
    "Hinge": Case(losses.Hinge, _signs),
    "Hinge, not summed": Case(lambda: losses.Hinge("none"), _weighted(_signs)),
    "SquaredHinge": Case(losses.SquaredHinge, _weighted(_signs)),
    "LogCosh": Case(losses.LogCosh, _numbers),
    "LogCosh, not summed": Case(lambda: losses.LogCosh("none"), _each_weighted(_numbers)),
    "QuantileLoss": Case(lambda: losses.QuantileLoss(quantiles=0.2), _weighted(_numbers)),
    "QuantileLoss of several": Case(lambda: losses.QuantileLoss(quantiles=[0.1, 0.5, 0.9]), _each_weighted(_numbers)),
    "QuantileLoss, not summed": Case(
        lambda: losses.QuantileLoss("none", quantiles=[0.1, 0.5, 0.9]), _weighted(_numbers)
    ),
    "GaussianLoss": Case(losses.GaussianLoss, lambda rng: (rng.standard_normal((5, 2)), rng.standard_normal((5, 1)))),
    "GaussianLoss of several, weighted": Case(losses.GaussianLoss, _weighted(_gaussians)),
    "GaussianLoss, not summed": Case(lambda: losses.GaussianLoss("none"), _each_weighted(_gaussians)),
    "CosineSimilarityLoss": Case(losses.CosineSimilarityLoss, _weighted(_numbers)),
    "CosineSimilarityLoss of sequences": Case(
        lambda: losses.CosineSimilarityLoss("none"),
        lambda rng: (*(rng.standard_normal((5, 2, 3)) for _ in range(2)), rng.uniform(0.1, 2.0, (5, 2))),
    ),
    "TripletLoss": Case(losses.TripletLoss, _embeddings),
    "TripletLoss, summed": Case(lambda: losses.TripletLoss("sum", margin=0.3), _embeddings),
    "TripletLoss, not summed": Case(lambda: losses.TripletLoss("none", margin=2.0), _embeddings),
    "TripletLoss of all": Case(lambda: losses.TripletLoss(mining="all"), _embeddings),
    "TripletLoss of all, not summed": Case(lambda: losses.TripletLoss("none", mining="all"), _embeddings),
    "SoftmaxFocalLoss": Case(losses.SoftmaxFocalLoss, _labels),
    "SoftmaxFocalLoss, all options": Case(
        lambda: losses.SoftmaxFocalLoss(
            gamma=0.7, label_smoothing=0.2, class_weight=[1.0, 2.0, 0.5, 3.0], ignore_label=-100
        ),
        _labels_of_sequences,
    ),
    "SoftmaxFocalLoss of each pixel": Case(
        lambda: losses.SoftmaxFocalLoss("none", ignore_label=255), _labels_of_images
    ),
    "NegativeLogLikelihood": Case(losses.NegativeLogLikelihood, _labels),
    "NegativeLogLikelihood of each label": Case(
        lambda: losses.NegativeLogLikelihood("none", class_weight=[1.0, 2.0, 0.5, 3.0], ignore_label=-100),
        _labels_of_sequences,
    ),
    "KLDivergence": Case(losses.KLDivergence, _distributions),
    "KLDivergence of images": Case(losses.KLDivergence, _weighted(_distributions_of_images)),
    "KLDivergence, not summed": Case(lambda: losses.KLDivergence("none"), _weighted(_distributions)),
}
