"""What a trainer does without training: predict, and measure."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from portable_nn.arrays import Array
from portable_nn.metrics import Measuring, Metric
from portable_nn.networks import Network
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.intake import to_evaluate
from portable_nn.training.measuring import evaluate, predict, reports
from portable_nn.training.threads import Threads, threads_for

__all__ = ["Evaluator"]


class Evaluator:
    """Predicts with a network, and measures it, batch by batch."""

    network: Network
    threads: Threads
    pad: bool
    metrics: list[Metric] | dict[str, list[Metric]] | None

    def predict(self, x: Array | Mapping[str, Array], *, batch_size: int = 1024) -> Any:
        """Return the raw outputs for x, computed batch by batch, as `Network.predict` does."""
        with threads_for(self.network, batch_size, self.threads):
            return predict(self.network, x, batch_size)

    def evaluate(self, x: Any, t: Any = None, *, sample_weight: Any = None, batch_size: int = 1024) -> dict[str, Any]:
        """Return the loss and the trainer's metrics, computed batch by batch outside training.

        Without metrics in the trainer that is the accuracy, where the loss knows one. Losses by output add their own,
        "kind_loss" and "kind_accuracy".

        Parameters
        ----------
        x, t : arrays, or mappings of names to arrays
            Or, without t, an iterable of batches as for `fit`.
        sample_weight : array of shape (N,), or of the shape of the targets, or a mapping as for `fit`, optional
            Makes all of them weighted ones.
        batch_size : int

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
            If an argument does not fit.
        """
        batches = to_evaluate(self.network, x, t, sample_weight, batch_size, pad=self.pad)
        with self._threads(batches):
            return evaluate(self.network, batches, self.measuring())

    def report(self, x: Any, t: Any, *, sample_weight: Any = None, batch_size: int = 1024) -> Any:
        """Return precision, recall, F1 and support of each class, and the accuracy beside that of the majority.

        With losses by output it is a mapping, of those for classes. The names of the classes are those that
        `Network.predict_labels` gives.

        Parameters
        ----------
        x, t : arrays, or mappings of names to arrays
        sample_weight : array of shape (N,), or of the shape of the targets, or a mapping, optional
        batch_size : int

        Returns
        -------
        metrics.Report
            To be printed, or shown in a notebook.

        Raises
        ------
        ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
            If an argument does not fit, or no loss is for classes.

        Examples
        --------
        >>> import portable_nn as pnn
        >>> layer = pnn.Affine.from_arrays([[1.0, -1.0]])
        >>> trainer = pnn.Trainer(pnn.Sequential(layer, loss=pnn.SoftmaxWithLoss()))
        >>> print(trainer.report([[2.0], [1.0], [-1.0]], [0, 0, 0]))
        class          precision  recall      f1  support
        -------------------------------------------------
        0                 1.0000  0.6667  0.8000        3
        1                 0.0000  0.0000  0.0000        0
        -------------------------------------------------
        macro mean        0.5000  0.3333  0.4000        3
        weighted mean     1.0000  0.6667  0.8000        3
        accuracy                          0.6667        3
        always 0                          1.0000        3
        """
        batches = to_evaluate(self.network, x, t, sample_weight, batch_size, pad=self.pad)
        with self._threads(batches):
            return reports(self.network, batches)

    def measuring(self) -> Measuring | None:
        """Return what the metrics measure of the network as it is now; ValueError if one can measure nothing."""
        return None if self.metrics is None else Measuring(self.network.criterion, self.metrics)

    @property
    def better(self) -> dict[str, str]:
        """What is better, "max" or "min", of the values that the metrics give, by name."""
        measuring = self.measuring()
        return {} if measuring is None else measuring.better

    def _threads(self, batches: Batches | BatchStream) -> AbstractContextManager[None]:
        rows = batches.rows_at_once if isinstance(batches, Batches) else math.inf
        return threads_for(self.network, rows, self.threads)
