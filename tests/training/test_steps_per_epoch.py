"""Epochs of so many batches, for sources without an end."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.training.samples import split


def endless():
    rng = np.random.default_rng(0)
    while True:
        x = rng.standard_normal((8, 3)).astype("float32")
        yield x, (x[:, 0] > 0).astype("int64")


def small():
    return pnn.Sequential(pnn.Affine(3, 2), loss=pnn.SoftmaxWithLoss(), seed=0)


def test_an_endless_iterator_goes_on_from_epoch_to_epoch():
    source, reference = endless(), endless()
    history = pnn.Trainer(small(), pnn.SGD(0.1)).fit(source, epochs=3, steps_per_epoch=5, progress=False)
    batches = [next(reference) for _ in range(15)]
    x, t = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    trainer = pnn.Trainer(small(), pnn.SGD(0.1))
    expected = [
        trainer.fit(x[cut], t[cut], epochs=1, batch_size=8, shuffle=False, progress=False)["loss"][0]
        for cut in (slice(0, 40), slice(40, 80), slice(80, 120))
    ]
    assert history["loss"] == expected
    np.testing.assert_array_equal(next(source)[0], next(reference)[0])  # no batch was lost


def test_a_function_of_the_epoch_is_cut():
    taken = []

    def source(epoch):
        for batch in endless():
            taken.append(epoch)
            yield batch

    pnn.Trainer(small()).fit(source, epochs=2, steps_per_epoch=4, progress=False)
    assert taken == [1] * 4 + [2] * 4


def test_steps_that_do_not_fit_are_refused(tmp_path):
    x, t = np.ones((8, 3), dtype="float32"), np.zeros(8, dtype="int64")
    with pytest.raises(ValueError, match="steps_per_epoch needs an iterable of batches"):
        pnn.Trainer(small()).fit(x, t, steps_per_epoch=4)
    with pytest.raises(ValueError, match="fit needs steps_per_epoch to be a whole number of at least 1"):
        pnn.Trainer(small()).fit(endless(), steps_per_epoch=0)
    with pytest.raises(ValueError, match=r"4 batches an epoch are needed \(steps_per_epoch\), the iterable gave 2"):
        pnn.Trainer(small()).fit([(x, t)] * 2, steps_per_epoch=4, progress=False)
    options = {"steps_per_epoch": 3, "progress": False, "checkpoint": tmp_path / "run", "resume": True}
    pnn.Trainer(small()).fit(endless(), epochs=1, **options)
    trainer = pnn.Trainer(small())
    with pytest.raises(ValueError, match="an iterator cannot be resumed with"):
        trainer.fit(endless(), epochs=2, **options)
    assert trainer.epochs == 0


def test_the_part_that_is_validated_with_keeps_its_weights():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 3)).astype("float32")
    t, weight = (x[:, 0] > 0).astype("int64"), rng.uniform(0.0, 5.0, 50)
    net = small()
    record = pnn.Trainer(net, pnn.SGD(0.1)).fit(
        x, t, sample_weight=weight, validation_split=0.4, epochs=1, batch_size=50, progress=False
    )
    _, kept = split(50, 0.4, net.seed)
    expected = float(net.loss(x[kept], t[kept], sample_weight=weight[kept]))
    assert record["val_loss"][0] == pytest.approx(expected, rel=1e-5)
