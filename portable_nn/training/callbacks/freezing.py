"""Parameters that are trained only from some epoch on."""

from collections.abc import Mapping

from portable_nn.training.callbacks.callback import Callback, Training
from portable_nn.training.samples import whole

__all__ = ["Freeze"]


class Freeze(Callback):
    """Leaves parameters as they are until an epoch: the group {pattern: {"frozen_until": until}} of the optimizer.

    It is there while `fit` runs. Where the parameters are to have a rate of their own as well, write the group:
    `pnn.Adam(1e-3, groups={"0.*": {"frozen_until": 21, "lr_scale": 0.1}})`. For good, freeze them in the network:
    `net.freeze("0")`, which also spares their gradients.

    Parameters
    ----------
    pattern : str
        On the names of parameters, as in groups: "0.*", say, for all of the first layer.
    until : int
        The first epoch in which they are trained, of all calls of `fit`, from 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or, when training begins, the pattern matches no parameter.

    Examples
    --------
    >>> import portable_nn as pnn
    >>> (x, t), test = pnn.datasets.load_digits()
    >>> net = pnn.Sequential(pnn.Affine(64, 32), pnn.ReLU(), pnn.Affine(32, 10), loss=pnn.SoftmaxWithLoss(), seed=0)
    >>> before = net.parameters["0.W"].copy()
    >>> trainer, freeze = pnn.Trainer(net), pnn.Freeze("0.*", until=3)
    >>> _ = trainer.fit(x, t, epochs=2, callbacks=[freeze], progress=False)
    >>> bool((net.parameters["0.W"] == before).all())
    True
    >>> _ = trainer.fit(x, t, epochs=1, callbacks=[freeze], progress=False)
    >>> bool((net.parameters["0.W"] == before).all())
    False
    """

    def __init__(self, pattern: str, *, until: int):
        if not isinstance(pattern, str) or not pattern:  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not typed)
            raise TypeError(f'Freeze needs a pattern of names, such as "0.*", got {pattern!r}')
        self.pattern, self.until = pattern, whole("until", until, 1, "Freeze")

    def on_start(self, trainer: Training) -> None:
        """Give the optimizer the group."""
        groups = dict(trainer.optimizer.groups)
        self._before = groups.get(self.pattern)
        self._ours: Mapping[str, float] = {**(self._before or {}), "frozen_until": self.until}
        trainer.optimizer.groups = {**groups, self.pattern: self._ours}

    def on_end(self, trainer: Training) -> None:
        """Take it away, unless somebody has replaced it meanwhile."""
        groups = trainer.optimizer.groups
        if groups.get(self.pattern) == self._ours:
            before = {**groups, self.pattern: self._before}
            trainer.optimizer.groups = {name: group for name, group in before.items() if group is not None}
