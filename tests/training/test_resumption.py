"""What may change between a run and its resumption, and what may not."""

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.storage.checkpoints import Checkpoints

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((60, 6)).astype("float32"), RNG.integers(0, 3, 60)
W = RNG.random(60).astype("float32")
V = RNG.standard_normal((20, 6)).astype("float32"), RNG.integers(0, 3, 20)
OTHER_T, OTHER_X = (T + (np.arange(60) == 41)) % 3, X + np.float32(1e-3)


def layers(activation=pnn.ReLU, rate=0.2, dropout=pnn.Dropout, hidden=8):
    return pnn.Affine(6, hidden), activation(), dropout(rate), pnn.Affine(hidden, 3)


class Watching(pnn.Callback):
    def on_epoch(self, trainer, epoch, record):
        record["watched"] = 1.0


class Swish(pnn.SiLU):
    pass


def slow(step):
    return 1e-3


def slower(step):
    return 1e-3


class Counting(pnn.Callback):
    """Remembers something, and changes an attribute that is no option."""

    def __init__(self, by=1):
        self.by, self.count = by, 0

    def on_epoch(self, trainer, epoch, record):
        self.count += self.by

    def state(self):
        return self.count, []

    def restore(self, trainer, numbers, arrays):
        self.count = numbers


def trainer(stack=layers, loss=pnn.SoftmaxWithLoss, optimizer=pnn.Adam, lr=1e-2, seed=0, xp="numpy", dtype="float32"):
    network = pnn.Sequential(*stack(), loss=loss(), seed=seed, dtype=dtype).to(xp)
    return pnn.Trainer(
        network, optimizer(lr() if isinstance(lr, type(lambda: 0)) and lr.__name__ == "<lambda>" else lr)
    )


def fit(one, folder, **options):
    options = {"x": X, "t": T, "epochs": 2, "batch_size": 16, "validation_data": V} | options
    return one.fit(**options, checkpoint=folder, progress=False)


# What was, what is now (arguments of `trainer`, then of `fit`), and the part that an error names, or None.
CHANGES = {
    "more epochs": ({}, {}, {}, {"epochs": 4}, None),
    "more epochs, a longer cosine": (
        {"lr": lambda: pnn.Cosine(0.1, steps=8)},
        {"lr": lambda: pnn.Cosine(0.1, steps=16)},
        {},
        {"epochs": 4},
        None,
    ),
    "another rhythm of checkpoints": ({}, {}, {}, {"every": 2}, None),
    "another backend": ({}, {"xp": "array_api_strict"}, {}, {}, None),
    "torch": ({}, {"xp": "torch"}, {}, {}, None),
    "a callback more that only watches": ({}, {}, {}, {"callbacks": [Watching()]}, None),
    "a callback less that only watches": ({}, {}, {"callbacks": [Watching()]}, {}, None),
    "recoveries": ({}, {}, {}, {"recoveries": 2, "loss_limit": 50.0}, None),
    "the seed": ({}, {"seed": 1}, {}, {}, "seed was 0"),
    "wider layers": ({}, {"stack": lambda: layers(hidden=9)}, {}, {}, "parameters was"),
    "another activation": (
        {},
        {"stack": lambda: layers(pnn.Tanh)},
        {},
        {},
        r"network \(layers.1.kind\) was ReLU, now it is Tanh",
    ),
    "an activation of one's own": ({}, {"stack": lambda: layers(Swish)}, {}, {}, r"network \(layers.1.kind\)"),
    "another dropout rate": (
        {},
        {"stack": lambda: layers(rate=0.3)},
        {},
        {},
        r"network \(layers.2.options.rate\) was 0.2, now it is 0.3",
    ),
    "no dropout": (
        {},
        {"stack": lambda: (pnn.Affine(6, 8), pnn.ReLU(), pnn.Tanh(), pnn.Affine(8, 3))},
        {},
        {},
        "network",
    ),
    "another data type": ({}, {"dtype": "float64"}, {}, {}, r"network \(dtype\)"),
    "another loss": (
        {"loss": pnn.MeanSquaredError},
        {"loss": pnn.Huber},
        {"t": np.eye(3, dtype="float32")[T], "validation_data": None},
        {},
        r"loss \(kind\) was MeanSquaredError, now it is Huber",
    ),
    "an option of the loss": (
        {},
        {"loss": lambda: pnn.SoftmaxWithLoss(label_smoothing=0.1)},
        {},
        {},
        r"loss \(options.label_smoothing\)",
    ),
    "another optimizer": ({}, {"optimizer": pnn.RMSprop}, {}, {}, "optimizer was Adam, now it is RMSprop"),
    "an option of the optimizer": (
        {},
        {"optimizer": lambda lr: pnn.Adam(lr, beta1=0.8)},
        {},
        {},
        r"optimizer \(beta1\) was 0.9",
    ),
    "weight decay": (
        {},
        {"optimizer": lambda lr: pnn.Adam(lr, weight_decay=0.1)},
        {},
        {},
        r"optimizer \(weight_decay\)",
    ),
    "clipping": (
        {},
        {"optimizer": lambda lr: pnn.Adam(lr, clip_norm=1.0)},
        {},
        {},
        r"optimizer \(clip_norm\) was None",
    ),
    "another rate": ({}, {"lr": 2e-2}, {}, {}, r"schedule \(lr\) was 0.01, now it is 0.02"),
    "another schedule": ({}, {"lr": lambda: pnn.Cosine(1e-2, steps=8)}, {}, {}, r"schedule \(kind\) was Constant"),
    "another rate within a warm-up": (
        {"lr": lambda: pnn.WarmUp(pnn.ReduceOnPlateau(0.1), steps=3)},
        {"lr": lambda: pnn.WarmUp(pnn.ReduceOnPlateau(0.2), steps=3)},
        {},
        {},
        r"schedule \(schedule.initial\)",
    ),
    "the rise of one cycle": (
        {"lr": lambda: pnn.OneCycle(0.1, steps=8)},
        {"lr": lambda: pnn.OneCycle(0.1, steps=8, start_divisor=9)},
        {},
        {},
        "schedule",
    ),
    "another function as schedule": ({"lr": slow}, {"lr": slower}, {}, {}, "schedule was .*slow, now it is .*slower"),
    "patience": (
        {},
        {},
        {"callbacks": [pnn.EarlyStopping(7)]},
        {"callbacks": [pnn.EarlyStopping(8)]},
        r"callbacks \(0.patience\)",
    ),
    "the direction of early stopping": (
        {},
        {},
        {"callbacks": [pnn.EarlyStopping(7)]},
        {"callbacks": [pnn.EarlyStopping(7, mode="max")]},
        r"callbacks \(0.sign\)",
    ),
    "a callback less that remembers": ({}, {}, {"callbacks": [Counting()]}, {"callbacks": []}, "callbacks was"),
    "a callback more that remembers": ({}, {}, {}, {"callbacks": [Counting()]}, "callbacks was"),
    "an option of a callback": (
        {},
        {},
        {"callbacks": [Counting()]},
        {"callbacks": [Counting(2)]},
        r"callbacks \(0.by\)",
    ),
    "the size of batches": ({}, {}, {}, {"batch_size": 10}, "batch_size was 16"),
    "the order": ({}, {}, {}, {"shuffle": False}, "shuffle"),
    "fewer samples": ({}, {}, {}, {"x": X[:50], "t": T[:50]}, "samples was 60"),
    "one label": ({}, {}, {}, {"t": OTHER_T}, r"data \(t.sha256\)"),
    "other samples": ({}, {}, {}, {"x": OTHER_X}, r"data \(x.sha256\)"),
    "samples of another data type": ({}, {}, {}, {"x": X.astype("float64")}, r"data \(x.dtype\) was float32"),
    "samples of another shape": (
        {"stack": lambda: (pnn.Flatten(), *layers())},
        {},
        {"x": X.reshape(60, 2, 3), "validation_data": None},
        {"x": X.reshape(60, 3, 2)},
        r"data \(x.shape.0|data \(x.shape",
    ),
    "weights": ({}, {}, {}, {"sample_weight": W}, r"data \(sample_weight\) was None"),
    "other weights": (
        {},
        {},
        {"sample_weight": W},
        {"sample_weight": W[::-1].copy()},
        r"data \(sample_weight.sha256\)",
    ),
    "no validation": ({}, {}, {}, {"validation_data": None}, "validation data was"),
    "validation": ({}, {}, {"validation_data": None}, {"validation_data": V}, "validation data was None"),
    "other samples to validate with": (
        {},
        {},
        {},
        {"validation_data": (V[0] + 1, V[1])},
        r"validation data \(x.sha256\)",
    ),
    "an iterable": ({}, {}, {}, {"x": [(X, T)], "t": None}, "batch_size was 16, now it is None"),
    "another iterable": ({}, {}, {"x": [(X, T)], "t": None}, {"x": [(X, OTHER_T)]}, None),
}


def state_of(one):
    arrays = [pnn.to_numpy(array).tobytes() for array in one.network.arrays()]
    return arrays, one.optimizer.steps, one.optimizer.state, one.network.stream.position, one.epochs


@pytest.mark.parametrize("change", CHANGES)
def test_what_may_change(change, tmp_path):
    made, remade, first, second, part = CHANGES[change]
    remade = made | remade
    if "xp" in remade:
        pytest.importorskip(remade["xp"])
    fit(trainer(**made), tmp_path, **first)
    one = trainer(**remade)
    options = {"epochs": 3, "resume": True} | {name: value for name, value in first.items() if name != "callbacks"}
    options |= {"callbacks": [Counting() if isinstance(c, Counting) else c for c in first.get("callbacks", [])]}
    if change == "a callback less that only watches":
        options["callbacks"] = []
    options |= second
    if part is None:
        assert len(fit(one, tmp_path, **options)["loss"]) == options["epochs"]
        return
    before = state_of(one)
    with pytest.raises(ValueError, match=f"the checkpoint is of another run: its ({part})"):
        fit(one, tmp_path, **options)
    assert state_of(one) == before


@pytest.mark.parametrize("optimizer", [pnn.SGD, pnn.Adam])
@pytest.mark.parametrize("old", [False, True])
def test_unfreezing_is_an_error_before_anything_is_changed(optimizer, old, tmp_path, monkeypatch):
    first, second = trainer(optimizer=optimizer), trainer(optimizer=optimizer)
    first.network.freeze("0")
    fit(first, tmp_path)
    if old:
        forget(tmp_path)
    if old and optimizer is pnn.SGD:  # which has nothing to miss
        fit(second, tmp_path, epochs=3, resume=True)
        return
    before = state_of(second)
    with pytest.raises(ValueError, match="frozen"):
        fit(second, tmp_path, epochs=3, resume=True)
    assert state_of(second) == before


def forget(folder):
    """Make the checkpoints in a folder such as were written before they had descriptions."""
    files = Checkpoints(folder)
    state = files.newest()
    del state.numbers["description"]
    files.write(state)


def test_older_checkpoints_are_compared_by_what_they_have(tmp_path):
    fit(trainer(), tmp_path, callbacks=[pnn.EarlyStopping(9)])
    forget(tmp_path)
    files = Checkpoints(tmp_path)
    state = files.newest()
    state.numbers["about"]["callbacks"] = ["Watching", "EarlyStopping"]
    state.numbers["callbacks"].insert(0, {"numbers": None, "arrays": 0})
    for j in range(state.numbers["callbacks"][1]["arrays"]):
        state.arrays[f"callback 1/{j}"] = state.arrays.pop(f"callback 0/{j}")
    files.write(state)
    one = trainer(lr=0.5)
    fit(one, tmp_path, epochs=3, resume=True, callbacks=[Watching(), pnn.EarlyStopping(8)])
    assert len(one.history["loss"]) == 3


def test_the_same_trainer_goes_on(tmp_path):
    counting = Counting()
    one = trainer(lr=lambda: pnn.ReduceOnPlateau(0.5, patience=0, threshold=0.5))
    fit(one, tmp_path, callbacks=[counting])
    assert one.optimizer.lr < 0.5
    history = fit(one, tmp_path, epochs=4, resume=True, callbacks=[counting])
    assert (len(history["loss"]), counting.count) == (4, 4)


def test_a_run_that_early_stopping_has_ended_stays_ended(tmp_path):
    def early():
        return [pnn.EarlyStopping(1, min_delta=10.0)]

    first = trainer()
    history = fit(first, tmp_path, epochs=9, callbacks=early())
    assert len(history["loss"]) == 2
    before = {path.name for path in tmp_path.iterdir()}
    for _ in range(2):
        again = trainer()
        history = fit(again, tmp_path, epochs=9, callbacks=early(), resume=True)
        assert (len(history["loss"]), history.stopped) == (2, "val_loss has not improved for 1 epochs")
        assert history.best_epoch == 1
        assert state_of(again)[0] == state_of(first)[0]
    assert {path.name for path in tmp_path.iterdir()} == before


class Clock(pnn.Callback):
    def on_epoch(self, trainer, epoch, record):
        trainer.stop("time is up")


def test_a_run_that_was_stopped_by_a_callback_which_only_watches_goes_on(tmp_path):
    fit(trainer(), tmp_path, epochs=4, callbacks=[Counting(), Clock()])
    assert len(fit(trainer(), tmp_path, epochs=4, callbacks=[Counting()], resume=True)["loss"]) == 4


class Applied(pnn.Layer):
    """A layer with an option that no file can hold: such a network cannot be saved, but trained and resumed."""

    options = ("function",)

    def __init__(self, function=slow):
        super().__init__()
        self.function = function

    def forward_pass(self, run, params, x):
        return x, None

    def backward_pass(self, run, params, saved, dy):
        return dy, {}


def test_a_network_that_no_file_can_hold_is_resumed(tmp_path):
    fit(trainer(stack=lambda: (*layers(), Applied())), tmp_path)
    assert len(fit(trainer(stack=lambda: (*layers(), Applied())), tmp_path, epochs=3, resume=True)["loss"]) == 3
    with pytest.raises(ValueError, match=r"network \(layers.4.options.function\)"):
        fit(trainer(stack=lambda: (*layers(), Applied(slower))), tmp_path, epochs=4, resume=True)
    with pytest.raises(pnn.CheckpointError, match="not the layout"):
        pnn.load(tmp_path / "best.safetensors")
