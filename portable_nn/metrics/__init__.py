"""Metrics: numbers that tell over many batches how good a network is."""

from portable_nn.metrics.classification import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from portable_nn.metrics.measuring import GivenMetrics, Measuring, RunningMetrics, as_metrics
from portable_nn.metrics.metric import Function, Metric
from portable_nn.metrics.probability import ROCAUC, AveragePrecision, Brier, CalibrationError, LogLoss
from portable_nn.metrics.regression import MAE, MAPE, R2, RMSE
from portable_nn.metrics.report import ClassReport, Report, report
from portable_nn.metrics.running_accuracy import RunningAccuracy
from portable_nn.metrics.running_loss import RunningLoss
from portable_nn.metrics.running_record import RunningRecord

__all__ = [
    "F1",
    "MAE",
    "MAPE",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "Brier",
    "CalibrationError",
    "ClassReport",
    "ConfusionMatrix",
    "Function",
    "GivenMetrics",
    "LogLoss",
    "Measuring",
    "Metric",
    "Precision",
    "Recall",
    "Report",
    "RunningAccuracy",
    "RunningLoss",
    "RunningMetrics",
    "RunningRecord",
    "TopK",
    "as_metrics",
    "report",
]
