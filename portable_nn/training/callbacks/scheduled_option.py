"""An option of layers that follows a schedule."""

from fnmatch import fnmatchcase
from typing import Any

from portable_nn.layers import Layer
from portable_nn.schedules import Schedule, check_blind
from portable_nn.training.callbacks.callback import Callback, Training

__all__ = ["ScheduledOption"]


class ScheduledOption(Callback):
    """Sets an option of layers, at the start of each epoch, to what a schedule says of the number of updates made.

    So the rate of dropout may fall, say. The schedules of the learning rate and of weight decay are options of the
    optimizer, and act at every update. On JAX each new value has the steps compiled anew: a schedule that stays the
    same for many epochs, `StepDecay` say, costs little there.

    Parameters
    ----------
    option : str
        Its name, "rate", say.
    schedule : Schedule
        It cannot observe.
    layers : str
        A pattern on the paths of layers, as in `fnmatch`: "1.*", say. All that have the option, by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or, when training begins, no such layer has the option.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> dropout = pnn.Dropout(0.5)
    >>> layers = pnn.Affine(64, 32), pnn.ReLU(), dropout, pnn.Affine(32, 10)
    >>> trainer = pnn.Trainer(pnn.Sequential(*layers, loss=pnn.SoftmaxWithLoss(), seed=0))
    >>> falling = pnn.ScheduledOption("rate", pnn.Polynomial(0.4, steps=4 * 45))
    >>> seen = []
    >>> note = pnn.OnEpoch(lambda trainer, epoch, record: seen.append(round(dropout.rate, 2)))
    >>> _ = trainer.fit(x, t, epochs=4, callbacks=[note, falling], progress=False)
    >>> seen
    [0.4, 0.3, 0.2, 0.1]
    """

    def __init__(self, option: str, schedule: Schedule, *, layers: str = "*"):
        for name, value in (("option", option), ("layers", layers)):
            if not isinstance(value, str) or not value:  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
                raise TypeError(f"ScheduledOption needs {name} to be a text, got {value!r}")
        if not callable(schedule):
            needed = "a function of the number of updates, pnn.Cosine(0.2, steps=900), say"
            raise TypeError(f"ScheduledOption needs {needed}, got {schedule!r}")
        check_blind(schedule, f"the option {option}")
        self.option, self.schedule, self.layers = option, schedule, layers

    def on_start(self, trainer: Training) -> None:
        """Set the option."""
        self._set(trainer, self._now(trainer))

    def on_epoch(self, trainer: Training, epoch: int, record: dict[str, float]) -> None:
        """Set the option for the next epoch."""
        self._set(trainer, self._now(trainer))

    def state(self) -> tuple[Any, list[Any]]:
        """Return the value for the running epoch."""
        return self._value, []

    def restore(self, trainer: Training, numbers: Any, arrays: list[Any]) -> None:
        """Set it again."""
        self._set(trainer, numbers)

    def _now(self, trainer: Training) -> float:
        return float(self.schedule(trainer.optimizer.steps))

    def _set(self, trainer: Training, value: float) -> None:
        self._value = value
        for layer in self._found(trainer):
            if getattr(layer, self.option) != value:  # each replacement counts
                setattr(layer, self.option, value)

    def _found(self, trainer: Training) -> list[Layer]:
        """Return the layers, each once; ValueError if there are none."""
        leaves = list(trainer.network.leaves())
        having = {path: layer for path, layer in leaves if self.option in layer.options}
        found = {id(layer): layer for path, layer in having.items() if fnmatchcase(path, self.layers)}
        if not found:
            known = f"those that have it are {', '.join(having)}" if having else "no layer has it"
            raise ValueError(f"no layer {self.layers!r} has an option {self.option}: {known}")
        return list(found.values())
