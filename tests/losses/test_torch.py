"""Losses beside torch's and torchvision's formulas of them: values, gradients and options."""

import numpy as np
import pytest

import portable_nn as pnn

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)
Y, T, SIGNS = RNG.standard_normal((5, 4)), RNG.random((5, 4)), np.sign(RNG.standard_normal((5, 4)))
LABELS, SHARES = RNG.integers(0, 4, 5), RNG.dirichlet(np.ones(4), 5)
LOG_P = np.log(RNG.dirichlet(np.ones(4), 5))
PICTURES, MASKS = RNG.standard_normal((3, 2, 4, 5)), RNG.random((3, 2, 4, 5))
LOG_PICTURES, PIXELS = (
    np.log(np.moveaxis(RNG.dirichlet(np.ones(4), (3, 2, 5)), -1, 1).copy()),
    RNG.integers(0, 4, (3, 2, 5)),
)
WEIGHT = [1.0, 2.0, 0.5, 3.0]


def tensor(array):
    return torch.asarray(array, dtype=torch.float64 if np.asarray(array).dtype.kind == "f" else None)


def sigmoid_focal_loss(y, t, reduction):
    """As torchvision.ops.sigmoid_focal_loss computes it."""
    p = torch.sigmoid(y)
    p_t = p * t + (1 - p) * (1 - t)
    losses = F.binary_cross_entropy_with_logits(y, t, reduction="none") * (1 - p_t) ** 2
    losses = (0.25 * t + 0.75 * (1 - t)) * losses
    return losses if reduction == "none" else getattr(losses, reduction)()


def softmax_focal_loss(y, t, reduction):
    log_p = F.log_softmax(y, 1)[range(len(t)), t]
    losses = -((1 - log_p.exp()) ** 2) * log_p
    return losses if reduction == "none" else getattr(losses, reduction)()


# ours, y, t, theirs
LOSSES = {
    "pos_weight": (
        lambda r: pnn.SigmoidWithLoss(r, pos_weight=WEIGHT), Y, T,
        lambda y, t, r: F.binary_cross_entropy_with_logits(y, t, pos_weight=tensor(WEIGHT), reduction=r),
    ),
    "pos_weight of images": (
        lambda r: pnn.SigmoidWithLoss(r, pos_weight=[0.5, 3.0]), PICTURES, MASKS,
        lambda y, t, r: F.binary_cross_entropy_with_logits(
            y, t, pos_weight=tensor([0.5, 3.0])[:, None, None], reduction=r
        ),
    ),
    "divergence": (
        pnn.KLDivergence, LOG_P, SHARES,
        lambda y, t, r: F.kl_div(y, t, reduction="none").sum(1) if r == "none" else F.kl_div(
            y, t, reduction={"mean": "batchmean"}.get(r, r)
        ),
    ),
    "likelihood": (
        lambda r: pnn.NegativeLogLikelihood(r, class_weight=WEIGHT, ignore_label=2), LOG_P, LABELS,
        lambda y, t, r: F.nll_loss(y, t, weight=tensor(WEIGHT), ignore_index=2, reduction=r),
    ),
    "likelihood of pixels": (
        pnn.NegativeLogLikelihood, LOG_PICTURES, PIXELS, lambda y, t, r: F.nll_loss(y, t, reduction=r),
    ),
    "gaussian": (
        pnn.GaussianLoss, Y, T[:, :2],
        lambda y, t, r: F.gaussian_nll_loss(y[:, :2], t, y[:, 2:].exp(), eps=1e-12, reduction=r),
    ),
    "cosine": (
        pnn.CosineSimilarityLoss, Y, T,
        lambda y, t, r: F.cosine_embedding_loss(y, t, torch.ones(5), reduction=r),
    ),
    "sigmoid focal": (pnn.SigmoidFocalLoss, Y, (SIGNS > 0).astype(float), sigmoid_focal_loss),
    "softmax focal": (pnn.SoftmaxFocalLoss, Y, LABELS, softmax_focal_loss),
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_as_torch_has_it(name, reduction):
    kind, y, t, theirs = LOSSES[name]
    given = tensor(y).requires_grad_()
    expected = theirs(given, tensor(t), reduction)
    expected.sum().backward()
    loss = kind(reduction)
    np.testing.assert_allclose(loss.forward(y, t), expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(loss.backward(), given.grad.numpy(), rtol=1e-11, atol=1e-11)  # torch adds 1e-12 to norms


def test_without_focus_the_focal_losses_are_the_plain_ones():
    pairs = [
        (pnn.SoftmaxFocalLoss(gamma=0, label_smoothing=0.2), pnn.SoftmaxWithLoss(label_smoothing=0.2), LABELS),
        (pnn.SigmoidFocalLoss(gamma=0, alpha=None), pnn.SigmoidWithLoss(), T),
    ]
    for focal, plain, t in pairs:
        assert focal.forward(Y, t) == pytest.approx(float(plain.forward(Y, t)), rel=1e-13)
        np.testing.assert_allclose(focal.backward(), plain.backward(), rtol=1e-11, atol=1e-14)


def test_log_softmax_before_a_likelihood_is_the_softmax_loss():
    losses, rng = [], np.random.default_rng(0)
    x, t = rng.standard_normal((30, 3)), rng.integers(0, 4, 30)
    for more, loss in (((), pnn.SoftmaxWithLoss()), ((pnn.LogSoftmax(),), pnn.NegativeLogLikelihood())):
        net = pnn.Sequential(pnn.Affine(3, 4), *more, loss=loss, seed=0, dtype="float64")
        history = pnn.Trainer(net, pnn.SGD(0.5)).fit(x, t, epochs=5, batch_size=7, progress=False)
        losses.append([*history["loss"], net.accuracy(x, t)])
    np.testing.assert_allclose(*losses, rtol=1e-10)
