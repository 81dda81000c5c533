import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portable_nn as pnn
from portable_nn.arrays import BACKENDS, namespace
from portable_nn.cli.samples import load_samples
from portable_nn.errors import BackendError, MissingExtraError
from portable_nn.training.base_step import TrainingStep

Run = Callable[..., Any]


def accuracy(text: str) -> float:
    found = re.search(r"^test accuracy (\S+)", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_digits_are_the_default_and_learnt_well_in_time(run: Run, tmp_path: Path) -> None:
    result = run("train --plot digits.png --save digits.safetensors")
    assert result.status == 0
    data, network, score, *confusions, saved, drawn = result.out.splitlines()
    assert data == ("digits: 1,438 training and 359 test samples, 64 features, 10 classes; numpy on cpu, float32")
    assert network.startswith("64-128-128-10, relu, dropout 0.2, 26,122 parameters; adam, learning rate 0.004")
    assert network.endswith("batches of 32, seed 0")
    assert accuracy(score) >= 0.98
    seconds = re.search(r"epochs in (\S+) s$", score)
    assert seconds
    assert float(seconds[1]) < 20
    assert "epoch 44/44: loss=" in result.err
    assert [saved, drawn] == ["network saved in digits.safetensors", "curves drawn in digits.png"]
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")

    x2, t2 = pnn.datasets.load_digits()[1]
    network = pnn.load(tmp_path / "digits.safetensors")
    assert network.accuracy(x2, t2) == pytest.approx(accuracy(score), abs=5e-5)
    counts = [[int(cell) for cell in line.replace(".", "0").split()[1:]] for line in confusions[1:]]
    assert sum(map(sum, counts)) == 359
    assert sum(counts[i][i] for i in range(10)) == round(359 * accuracy(score))


@pytest.mark.parametrize("optimizer", [
    "adam", "adamw", "rmsprop", "adagrad", "sgd", "momentum", "nesterov", "adadelta", "adamax", "nadam", "radam",
    "lion", "lamb", "lars", "adafactor", "muon",
])  # fmt: skip
def test_every_optimizer_learns_with_its_default_rate(run: Run, optimizer: str) -> None:
    assert accuracy(run(f"train digits --optimizer {optimizer} --epochs 15 --quiet").out) > 0.93


@pytest.mark.parametrize(
    "activation", ["relu", "prelu", "celu", "selu", "mish", "hard-swish", "gelu", "softsign", "tanh", "sigmoid"]
)
def test_every_activation_learns(run: Run, activation: str) -> None:
    assert accuracy(run(f"train digits --activation {activation} --epochs 5 --quiet").out) > 0.85


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_columns_far_from_zero_keep_their_digits(run: Run, tmp_path: Path, backend: str) -> None:
    if backend != "numpy":
        pytest.importorskip(backend)
    rows = np.random.default_rng(0).standard_normal((400, 2))
    lines = [f"{1e7 + a:.4f},{b:.4f},{'high' if a > 0 else 'low'}\n" for a, b in rows.tolist()]
    (tmp_path / "far.csv").write_text("".join(lines))
    result = run(f"train far.csv --hidden 16 --epochs 30 --backend {backend} --save far.safetensors")
    assert "float64" in result.out.splitlines()[0]
    assert accuracy(result.out) > 0.95
    predicted = run(f"predict far.safetensors far.csv --backend {backend}").out.split()
    right = [word == line.rsplit(",")[-1].strip() for word, line in zip(predicted, lines, strict=True)]
    assert sum(right) > 390
    assert run("train far.csv --epochs 1 --dtype float32 --quiet").status == 0


def test_options_make_the_network_that_they_say(run: Run, tmp_path: Path) -> None:
    result = run(
        "train digits --hidden 20 12 --activation gelu --dropout 0.25 --optimizer momentum --lr 0.05 --batch-size 100 "
        "--epochs 3 --seed 7 --dtype float64 --save net.safetensors"
    )
    assert result.status == 0
    assert "; numpy on cpu, float64\n" in result.out
    assert (
        "64-20-12-10, gelu, dropout 0.25, 1,682 parameters; momentum, learning rate 0.05 falling to 0, 3 epochs, "
        "batches of 100, seed 7\n"
    ) in result.out
    net = pnn.load(tmp_path / "net.safetensors")
    assert [type(layer).__name__ for layer in net.layers] == ["Affine", "GELU", "Dropout"] * 2 + ["Affine"]
    assert [layer.rate for layer in net.layers if isinstance(layer, pnn.Dropout)] == [0.25, 0.25]
    assert (net.place.dtype_name, net.seed) == ("float64", 7)


@pytest.mark.parametrize(("backend", "dtype"), [("torch", "bfloat16"), ("jax", "float16")])
def test_a_lower_precision_is_what_is_computed_in(run: Run, tmp_path: Path, backend: str, dtype: str) -> None:
    pytest.importorskip(backend)
    result = run(f"train digits --hidden 32 --epochs 4 --backend {backend} --dtype {dtype} --save low.safetensors")
    assert result.status == 0
    assert f", {dtype}\n" in result.out
    assert accuracy(result.out) > 0.85
    net = pnn.load(tmp_path / "low.safetensors", backend)
    assert (net.place.precision, net.place.dtype_name) == (dtype, "float32")
    assert len(run("predict low.safetensors digits").out.split()) == 359  # by NumPy, in float32
    assert run(f"predict low.safetensors digits --backend {backend}").status == 0


def test_the_rate_falls_along_a_cosine_over_the_whole_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    plain = TrainingStep.__call__

    def step(self: TrainingStep, *batch: Any) -> Any:
        rates.append(self.optimizer.lr)
        return plain(self, *batch)

    monkeypatch.setattr(TrainingStep, "__call__", step)
    run("train digits --lr 0.02 --epochs 2 --batch-size 144 --quiet")
    assert len(rates) == 20  # 1438 samples are ten batches of at most 144
    np.testing.assert_allclose(rates, [0.01 * (1 + np.cos(np.pi * i / 20)) for i in range(20)])


def test_a_large_data_set_gets_a_large_network(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12_500, 3)).astype(np.float32)
    np.savez(tmp_path / "many.npz", x=x, t=(x[:, 0] > 0).astype(int))
    result = run("train many.npz --epochs 1")
    assert "3-512-512-2, relu, dropout 0.2, 265,730 parameters" in result.out
    assert "1 epoch, batches of 128," in result.out


def test_a_seed_decides_the_run(run: Run, tmp_path: Path) -> None:
    def weights(seed: int) -> Any:
        run(f"train digits --epochs 1 --hidden 8 --quiet --seed {seed} --save net.safetensors")
        return pnn.load(tmp_path / "net.safetensors").parameters["0.W"]

    first = weights(3)
    np.testing.assert_array_equal(weights(3), first)
    assert not np.allclose(weights(4), first)


def test_quiet_prints_the_result_alone(run: Run) -> None:
    result = run("train digits --epochs 1 --quiet")
    assert result.err == ""
    assert re.fullmatch(r"test accuracy 0\.\d{4} \(\d+ of 359\), loss \d\.\d{4}; 1 epoch in \d+\.\d s\n", result.out)


def test_a_table_is_learnt_on_any_scale_and_saved_for_raw_features(run: Run, flowers: Path, tmp_path: Path) -> None:
    result = run("train flowers.csv --hidden 16 --save net.safetensors")
    assert "flowers.csv: 72 training and 18 test samples, 3 features, 3 classes; numpy" in result.out
    assert accuracy(result.out) == 1.0
    assert [line.split()[0] for line in result.out.splitlines()[4:7]] == ["big,", "rose", "tulip"]
    net = pnn.load(tmp_path / "net.safetensors")
    assert net.notes == {"classes": ["big, red one", "rose", "tulip"]}
    answers = net.predict(np.array([[1e-3, 5e4, 7], [3e-3, 5e4, 7], [2e-3, 9e4, 7], [2e-3, 9e4, -1e3]]))
    assert answers.argmax(axis=1).tolist() == [1, 2, 0, 0]


def test_a_target_may_be_any_column(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{10 + k},{k + rng.uniform(-0.2, 0.2)},{rng.uniform()}" for k in range(3) for _ in range(20)]
    (tmp_path / "numbers.csv").write_text("\n".join(["kind,a,b", *lines]))
    for target in ("kind", "0", "-3"):
        assert accuracy(run(f"train numbers.csv --target {target} --quiet --save net.safetensors").out) == 1.0
        predicted = run("predict net.safetensors numbers.csv").out
        assert predicted.split() == [line.split(",")[0] for line in lines]


def test_numbers_are_learnt_and_predicted_in_their_own_units(run: Run, plane: Path, tmp_path: Path) -> None:
    result = run("train plane.npz --hidden --lr 0.05 --save net.safetensors --plot curve.svg")
    assert result.status == 0
    assert "plane.npz: 160 training and 40 test samples, 3 features, a number to predict" in result.out
    assert "\n3-1, 4 parameters; " in result.out
    found = re.search(r"^test loss (\S+) \(mean squared error\), R\^2 (\S+);", result.out, re.MULTILINE)
    assert found
    assert float(found[2]) > 0.999
    net = pnn.load(tmp_path / "net.safetensors")
    np.testing.assert_allclose(net.parameters["0.W"][0], 3, atol=0.05)  # the plane's own slope
    np.testing.assert_allclose(net.predict(np.array([[110.0, 0.01, 5], [90.0, 0.01, 9]])), [[830], [770]], atol=3)
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()[:2000]


# Each of its years has one line, so those kept for the test are not trained on.
@pytest.mark.filterwarnings("ignore:no sample to train on has the labels")
def test_whole_numbers_are_classes_unless_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "years.csv").write_text("\n".join(f"{i},{1900 + 2 * i}" for i in range(60)))
    assert "60 classes" in run("train years.csv --epochs 1").out
    result = run("train years.csv --regression --test-fraction 0.5 --dropout 0 --epochs 200")
    found = re.search(r"R\^2 (\S+);", result.out)
    assert found
    assert float(found[1]) > 0.99
    assert "30 training and 30 test samples" in result.out


def test_a_folder_of_images_is_learnt_unscaled(run: Run, images: Path, tmp_path: Path) -> None:
    result = run("train images --hidden 16 --save net.safetensors")
    assert "images: 60 training and 15 test samples, 16 features, 3 classes" in result.out
    assert accuracy(result.out) == 1.0
    assert run("predict net.safetensors images").out.split() == [str(i % 3) for i in range(15)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_gives_the_same_run(run: Run, backend: str, dtype: str, flowers: Path) -> None:
    try:
        namespace(backend)
    except (MissingExtraError, BackendError) as error:
        pytest.skip(str(error))
    arguments = f"train flowers.csv --hidden 8 --epochs 3 --quiet --dtype {dtype}"
    result = run(f"{arguments} --backend {backend}")
    assert result.status == 0, result.err
    assert result.out.split(";")[0] == run(arguments).out.split(";")[0]


def test_ctrl_c_in_the_first_epoch_reports_but_draws_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = TrainingStep.__call__

    def interrupted(self: TrainingStep, *batch: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return plain(self, *batch)

    monkeypatch.setattr(TrainingStep, "__call__", interrupted)
    result = run("train digits --quiet --save net.safetensors --plot curve.png")
    assert result.status == 130
    assert result.out.splitlines()[0].startswith("test accuracy 0.")
    assert result.out.splitlines()[1:] == [
        "interrupted in epoch 1", "network saved in net.safetensors", "no curves drawn: no epoch was finished",
    ]  # fmt: skip
    assert (tmp_path / "net.safetensors").exists()
    assert not (tmp_path / "curve.png").exists()


def test_a_loss_that_is_not_finite_leaves_the_saved_network_as_it_was(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"the best one")
    result = run("train digits --quiet --optimizer sgd --lr 1e30 --save net.safetensors")
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(
        r"portable-nn: the loss became NaN or infinite at step \d of epoch 1: try --lr lower than 1e\+30\n", result.err
    )
    assert (tmp_path / "net.safetensors").read_bytes() == b"the best one"


# Shown as they are to users, not raised as in the other tests.
@pytest.mark.filterwarnings("default")
def test_recoveries_lower_the_rate_until_training_works(run: Run) -> None:
    result = run("train --optimizer sgd --lr 3000 --epochs 2 --quiet --recoveries 30 --loss-limit 10")
    assert result.status == 0
    assert accuracy(result.out) > 0.8
    lines = result.err.splitlines()
    assert lines
    assert all(re.fullmatch(r"portable-nn: the loss became .* going on from step \d+ .*", line) for line in lines)


def test_a_network_that_cannot_be_saved_is_an_error_beside_its_score(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("portable_nn.storage.arrays.os.fsync", full)
    result = run("train digits --epochs 1 --quiet --save net.safetensors")
    assert result.status == 2
    assert result.out.startswith("test accuracy 0.")
    assert result.err == "portable-nn: the network could not be saved in net.safetensors: No space left on device\n"


def test_gradients_of_batches_are_accumulated(run: Run) -> None:
    options = "train digits --epochs 2 --dropout 0"
    many, one = run(f"{options} --batch-size 25 --accumulate 4"), run(f"{options} --batch-size 100")
    assert "2 epochs, batches of 4 x 25, seed 0" in many.out
    assert accuracy(many.out) == pytest.approx(accuracy(one.out), abs=0.003)
    assert run("train --accumulate 0").status == 2


def test_metrics_are_shown_told_of_the_test_samples_and_drawn(run: Run, flowers: Path, tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    result = run("train flowers.csv --hidden 4 --epochs 2 --metrics f1 roc_auc accuracy f1 --save net.safetensors")
    assert result.status == 0
    told = re.search(
        r"^test accuracy (\S+) .*, loss (\S+), f1 (\S+), roc_auc (\S+); 2 epochs", result.out, re.MULTILINE
    )
    assert told
    assert re.search(r"^epoch 2/2: loss=\S+ accuracy=\S+ f1=\S+ roc_auc=\S+ val_loss=", result.err, re.MULTILINE)
    samples = load_samples("flowers.csv", target=None, test_fraction=None, regression=False, dtype="float64")
    y = pnn.load(tmp_path / "net.safetensors").predict_proba(samples.x_test)
    f1 = metrics.f1_score(samples.t_test, y.argmax(axis=1), average="macro")
    area = metrics.roc_auc_score(samples.t_test, y, multi_class="ovr")
    np.testing.assert_allclose([float(told[3]), float(told[4])], [f1, area], atol=1e-3)


def test_metrics_of_numbers_are_told_in_their_units(
    run: Run, plane: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def plot(self: pnn.History, path: Path) -> None:
        drawn.extend(self)

    monkeypatch.setattr(pnn.History, "plot", plot)
    result = run("train plane.npz --hidden --lr 0.05 --epochs 3 --metrics rmse --plot curve.png --quiet")
    told = re.search(r"^test loss (\S+) \(mean squared error\), R\^2 \S+, rmse (\S+);", result.out)
    assert told
    assert float(told[2]) == pytest.approx(float(told[1]) ** 0.5, rel=1e-3)
    assert {"rmse", "val_rmse"} <= set(drawn)


@pytest.mark.parametrize(("options", "error"), [
    ("digits --metrics f1 f2", "there is no metric f2, there are accuracy, .*, mape"),
    ("--metrics f1 digits", "there is no metric digits, .*; the data go before the metrics"),
    ("digits --metrics rmse", r"RMSE\(\) compares values with targets, which SoftmaxWithLoss cannot"),
])  # fmt: skip
def test_a_metric_that_there_is_not_is_one_error(run: Run, options: str, error: str) -> None:
    result = run(f"train {options} --quiet")
    assert (result.status, result.out) == (2, "")
    assert re.fullmatch(rf"portable-nn: .*{error}.*\n", result.err)
