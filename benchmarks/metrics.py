"""What metrics cost: epochs of `Trainer.fit` with and without accuracy and F1: `python -m benchmarks.metrics`.

The network of W4, on NumPy with one BLAS thread, in turns in one run, in seconds of the processor: the clock of a busy
machine tells of others. Values of training are measured, and there is nothing to validate with.
"""

import statistics
import time

import portable_nn as pnn
from benchmarks.threads import one_thread
from benchmarks.workloads import WORKLOADS

ROUNDS = 24


def trainer(metrics: list[str] | None) -> pnn.Trainer:
    """Return the trainer of W4's network."""
    work = WORKLOADS["W4"]
    layers: list[pnn.Layer] = []
    for W, b in work.weights():
        layers += [pnn.Affine.from_arrays(W, b), pnn.ReLU()]
    network = pnn.Sequential(*layers[:-1], loss=pnn.SoftmaxWithLoss(), seed=0)
    return pnn.Trainer(network, pnn.Adam(work.rate), compile=False, metrics=metrics)


def seconds(trained: pnn.Trainer) -> float:
    """Return how long an epoch takes."""
    work = WORKLOADS["W4"]
    x, t = work.data()
    started = time.process_time()
    trained.fit(x, t, epochs=1, batch_size=work.batch, progress=False)
    return time.process_time() - started


def main() -> None:
    """Print medians, and the median of the ratios."""
    names = {"no metrics": None, "accuracy": ["accuracy"], "accuracy and F1": ["accuracy", "f1"]}
    names["accuracy, F1 and ROC AUC"] = ["accuracy", "f1", "roc_auc"]
    trainers = {name: trainer(metrics) for name, metrics in names.items()}
    for trained in trainers.values():
        seconds(trained)
    order, rounds = list(trainers), list[dict[str, float]]()
    for _ in range(ROUNDS):
        rounds.append({name: seconds(trainers[name]) for name in order})
        order = [*order[1:], order[0]]  # whoever comes first may find a colder machine
    work = WORKLOADS["W4"]
    print(f"an epoch of {work.rows:,} samples, {work}: median of {ROUNDS}, and of the ratios to none")
    for name in trainers:
        median = statistics.median(one[name] for one in rounds)
        ratio = statistics.median(one[name] / one["no metrics"] for one in rounds)
        print(f"{name:26} {1e3 * median:8.0f} ms   {ratio:.3f}")


if __name__ == "__main__":
    with one_thread():
        main()
