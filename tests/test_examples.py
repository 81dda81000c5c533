"""Every example runs as a reader would run it, and ends with the result that it promises."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from portable_nn.testing import selected_backends

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))

# A line of what each example prints on a backend; it is printed where the result stands, beside the assertion.
LAST_LINES = {
    "digits": r"test accuracy (0\.9[7-9]\d*|1\.0+) on {backend}",
    "affine_from_nodes": r"the nodes make an Affine layer, forward and back, on {backend}",
    "apples_and_oranges": r"all numbers as by hand, on {backend}",
    "residual_batch_norm": r"test accuracy with it: (0\.9[7-9]\d*|1\.0+), and 42 states, on {backend}",
    "residual_digits": r"the residual network is at least as good, on {backend}",
    "square_of_a_sum": r"dz/dx = dz/dy = 2 \(x \+ y\) on {backend}",
    "gradient_check": r"SoftmaxWithLoss: largest difference \d\.\de-(09|1\d)",
    "imbalanced": r"F1 of the yeses 0\.[67]\d, average precision 0\.[78]\d; by chance 0\.01",
    "learning_rate_range": r"rate 0\.0[0-9]*: accuracy 0\.9[5-9]\d",
    "mnist_three_layer": r"test accuracy 0\.9[7-9]\d* on {backend} in [\d.]+ s",
    "mnist_two_layer": r"test accuracy 0\.9[67]\d* on {backend} in [\d.]+ s",
    "parabola": r"distance from the parabola: [01]\.\d+ \(before training \d+\.\d+, the points 2\.0\) on {backend}",
    "sklearn_pipeline": r"torch: .*hidden_layer_sizes': \(64,\).*predictions are a Tensor on cpu",
    "stateful_layer": r"10,000 rows of mean \[.* -19\.9 .*\], test accuracy (0\.9[5-9]\d*|1\.0+) on {backend}",
    "thaw": r"thawed at a tenth of the rate: 0\.(8[5-9]|9)\d* on {backend}",
    "two_heads": r"0\.9[5-9]\d* of the digits are right, their ink is off by 0\.0[01]\d* of 0\.3\d*, on {backend}",
    "weight_tying": r"one W, tied in training and after loading, on {backend}",
    "your_own_layer": r"test accuracy (0\.9[6-9]\d*|1\.0+) on {backend}",
}
FILES = {
    "digits": ["digits.png"],
    "imbalanced": ["imbalanced"],
    "parabola": ["parabola.png"],
    "weight_tying": ["autoencoder.safetensors"],
    "your_own_layer": ["swish.safetensors"],
}
LIBRARIES = ("numpy", "array_api_strict", "torch", "jax", "cupy")
QUICK = (
    "affine_from_nodes",
    "apples_and_oranges",
    "digits",
    "square_of_a_sum",
    "two_heads",
    "stateful_layer",
    "weight_tying",
    "your_own_layer",
)
ABSENT = "MNIST is not here"


def run(name, *arguments, folder, **variables):
    """Return what an example prints when it is run in `folder`, having seen that it succeeds without a warning."""
    environment = {key: value for key, value in os.environ.items() if key != "EXAMPLES_OUT"}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def missing(library):
    backend = next((backend for backend in selected_backends() if backend.library == library), None)
    return f"{library} is not among the chosen backends" if backend is None else backend.missing()


NEEDS = {"sklearn_pipeline": ("sklearn", "torch")}


def cases():
    for name in LAST_LINES:
        for library in LIBRARIES if name in QUICK else LIBRARIES[:1]:
            marks = [pytest.mark.slow] if name.startswith("mnist") else []
            yield pytest.param(name, library, id=f"{name}-{library}", marks=marks)


@pytest.mark.parametrize(("name", "backend"), list(cases()))
def test_example_reaches_its_result(name, backend, tmp_path):
    if reason := missing(backend):
        pytest.skip(reason)
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    arguments = () if backend == "numpy" else (backend,)
    printed = run(name, *arguments, folder=tmp_path)
    if printed.startswith(ABSENT):
        pytest.skip(printed.strip())
    assert re.search(f"^{LAST_LINES[name].format(backend=backend)}$", printed, re.MULTILINE), printed
    expected = [file for file in FILES.get(name, []) if file[-3:] != "png" or importlib.util.find_spec("matplotlib")]
    assert [path.name for path in tmp_path.iterdir()] == expected
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_same_run_is_compared_on_every_backend(tmp_path):
    others = [library for library in LIBRARIES[1:] if not missing(library)]
    if not others:
        pytest.skip("there is no backend to compare with NumPy")
    printed = run("same_run_everywhere", *others, folder=tmp_path)
    for library in ("numpy", *others):
        assert re.search(rf"^{library}: largest relative difference from NumPy's losses", printed, re.MULTILINE)
    assert f"the same run on {1 + len(others)} backends" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mnist_two_layer", "mnist_three_layer"])
def test_without_mnist_an_example_says_so_and_succeeds(name, tmp_path):
    printed = run(name, folder=tmp_path, PORTABLE_NN_MNIST=str(tmp_path / "nowhere"))
    assert printed.startswith(ABSENT)
    assert "PORTABLE_NN_MNIST" in printed


def test_without_mnist_gradients_are_checked_on_digits(tmp_path):
    printed = run("gradient_check", folder=tmp_path, PORTABLE_NN_MNIST=str(tmp_path / "nowhere"))
    assert "3 images of 64 pixels" in printed


def test_files_go_where_the_environment_says(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    run("weight_tying", folder=tmp_path, EXAMPLES_OUT=str(out))
    assert [path.name for path in out.iterdir()] == ["autoencoder.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_there_is_a_result_for_every_example():
    assert sorted([*LAST_LINES, "same_run_everywhere"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_example_is_short_explained_and_asserts_its_result(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) < 60
    assert ast.get_docstring(tree)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
