"""What losses say of options, targets and shapes that cannot be, and what their targets may look like."""

import numpy as np
import pytest

import portable_nn as pnn

RNG = np.random.default_rng(0)
Y = RNG.standard_normal((6, 4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pnn.QuantileLoss(quantiles=1.0), ValueError, "quantiles between 0 and 1, got 1.0"),
        (lambda: pnn.QuantileLoss(quantiles=[]), ValueError, "quantiles between 0 and 1"),
        (lambda: pnn.QuantileLoss(quantiles=[0.5, -1]), ValueError, "quantiles between 0 and 1"),
        (lambda: pnn.SigmoidFocalLoss(gamma=-1), ValueError, "gamma of at least 0, got -1"),
        (lambda: pnn.SigmoidFocalLoss(alpha=2), ValueError, "alpha from 0 to 1, or None .* got 2"),
        (lambda: pnn.SoftmaxFocalLoss(gamma=float("nan")), ValueError, "SoftmaxFocalLoss needs a finite gamma"),
        (lambda: pnn.SoftmaxFocalLoss(label_smoothing=1), ValueError, "SoftmaxFocalLoss needs label_smoothing"),
        (lambda: pnn.SigmoidWithLoss(pos_weight=-1.0), ValueError, "pos_weight of at least 0, got -1.0"),
        (lambda: pnn.SigmoidWithLoss(pos_weight=[1.0, None]), TypeError, "pos_weight to be a number or one for each"),
        (lambda: pnn.SigmoidWithLoss(pos_weight="balanced"), TypeError, "one for each output, got 'balanced'"),
        (lambda: pnn.SigmoidWithLoss(pos_weight="12"), TypeError, "one for each output, got '12'"),
        (
            lambda: pnn.NegativeLogLikelihood(class_weight="even"),
            ValueError,
            "NegativeLogLikelihood needs class_w",
        ),
        (lambda: pnn.NegativeLogLikelihood(axis=0), ValueError, "NegativeLogLikelihood needs the axis of the classes"),
        (lambda: pnn.KLDivergence(axis=0.5), TypeError, "KLDivergence needs axis to be a whole number"),
    ],
)
def test_options_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "t", "error", "message"),
    [
        (pnn.Hinge(), np.zeros((6, 4)), pnn.LabelError, r"t of -1 and 1 \(2 t - 1 makes them of 0 and 1\), got 0"),
        (pnn.SigmoidFocalLoss(), 2 + 0 * Y, pnn.LabelError, "t from 0 to 1"),
        (pnn.KLDivergence(), 1 + 0 * Y, pnn.LabelError, "distributions"),
        (pnn.KLDivergence(), np.zeros(6, int), pnn.ShapeError, r"t of shape \(6, 4\), distributions"),
        (
            pnn.QuantileLoss(quantiles=[0.5, 0.9]),
            Y,
            pnn.ShapeError,
            "of 2 quantiles needs as many outputs",
        ),
        (pnn.QuantileLoss(quantiles=[0.2] * 4), Y[:, :2], pnn.ShapeError, r"t of shape \(6, 4\), as y has, got"),
        (pnn.GaussianLoss(), Y, pnn.ShapeError, r"t of shape \(6, 2\) for y of shape \(6, 4\), got \(6, 4\)"),
        (
            pnn.SigmoidWithLoss(pos_weight=[1, 2]),
            0 * Y,
            pnn.ShapeError,
            r"for 2 outputs, but .* 4 at axis 1",
        ),
        (pnn.CosineSimilarityLoss(), Y[0], pnn.ShapeError, r"t of shape \(6, 4\), as y has"),
        (pnn.NegativeLogLikelihood(), Y[:, 0], pnn.DTypeError, "NegativeLogLikelihood needs integer labels"),
        (pnn.SoftmaxFocalLoss(class_weight=[1, 2]), np.zeros(6, int), pnn.ShapeError, "2 class weights, but y has 4"),
    ],
)
def test_targets_that_do_not_fit(loss, t, error, message):
    with pytest.raises(error, match=message):
        loss.forward(Y, t)


def test_outputs_that_do_not_fit():
    with pytest.raises(pnn.ShapeError, match="means and as many logarithms of variances"):
        pnn.GaussianLoss().forward(Y[:, :3], Y[:, :1])
    with pytest.raises(pnn.ShapeError, match="vectors of F numbers"):
        pnn.CosineSimilarityLoss().forward(Y[0], Y[0])


def test_one_target_for_several_quantiles():
    loss, t, q = pnn.QuantileLoss("none", quantiles=[0.1, 0.2, 0.5, 0.9]), Y[:, 0] + 0.1, [0.1, 0.2, 0.5, 0.9]
    d = t[:, None] - Y
    expected = np.maximum(q * d, (np.asarray(q) - 1) * d)  # as scikit-learn's mean_pinball_loss has it
    for given in (t, t[:, None], np.repeat(t[:, None], 4, axis=1)):
        np.testing.assert_allclose(loss.forward(Y, given), expected, rtol=1e-12)


def test_several_quantiles_are_learnt():
    rng = np.random.default_rng(0)
    t = rng.uniform(size=4000)
    net = pnn.Sequential(pnn.Affine(1, 3), loss=pnn.QuantileLoss(quantiles=[0.1, 0.5, 0.9]), seed=0)
    pnn.Trainer(net, pnn.Adam(0.02)).fit(np.ones((4000, 1)), t, epochs=20, batch_size=200, progress=False)
    np.testing.assert_allclose(net.predict(np.ones((1, 1)))[0], [0.1, 0.5, 0.9], atol=0.03)


def test_a_mean_and_a_variance_are_learnt():
    rng = np.random.default_rng(0)
    t = 2.0 + 0.5 * rng.standard_normal(4000)
    net = pnn.Sequential(pnn.Affine(1, 2), loss=pnn.GaussianLoss(), seed=0)
    pnn.Trainer(net, pnn.Adam(0.05)).fit(np.ones((4000, 1)), t, epochs=20, batch_size=200, progress=False)
    mean, log_variance = net.predict(np.ones((1, 1)))[0]
    assert (mean, np.exp(log_variance / 2)) == pytest.approx((t.mean(), t.std()), rel=0.05)


@pytest.mark.parametrize("loss", [pnn.Hinge(), pnn.SquaredHinge(), pnn.SigmoidFocalLoss()])
def test_accuracy_counts_signs(loss):
    x, no = np.asarray([[2.0], [-1.0], [0.5], [-3.0]]), 0 if isinstance(loss, pnn.SigmoidFocalLoss) else -1
    t = np.asarray([1, 1, 1, no])
    net = pnn.Sequential(pnn.Identity(), loss=loss)
    assert net.accuracy(x, t) == 0.75


def test_two_embeddings_draw_near_each_other():
    g = pnn.Graph(dtype="float64")
    g.output(pnn.CosineSimilarityLoss("sum")(g.input("a"), g.input("b")))
    a, b = RNG.standard_normal((2, 3, 4))
    g.forward(a=a, b=b)
    g.backward()
    of_b = pnn.CosineSimilarityLoss("sum")
    of_b.forward(b, a)
    np.testing.assert_allclose(g.gradients["b"], of_b.backward(), rtol=1e-12)


@pytest.mark.parametrize("name", ["KLDivLoss", "NLLLoss", "GaussianNLLLoss", "BinaryFocalCrossentropy", "PinballLoss"])
def test_names_of_other_libraries_lead_here(name):
    with pytest.raises(AttributeError, match="here it is called"):
        getattr(pnn, name)
