"""scikit-learn's own checks of estimators, and its own tests of perceptrons, on ours."""

import importlib.util
import re
from pathlib import Path

import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

from sklearn.utils.estimator_checks import parametrize_with_checks

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # what the checks provoke is theirs to judge
    pytest.mark.slow,
]


class Small:
    """Makes a network; with a function's address in them the names of the tests would differ from run to run."""

    def __call__(self, inputs, outputs):
        return pnn.Sequential(pnn.Affine(inputs, 32), pnn.ReLU(), pnn.Affine(32, outputs))

    def __repr__(self):
        return "small"


@parametrize_with_checks(
    [
        MLPClassifier(max_iter=100),
        MLPRegressor(max_iter=100),
        NetworkClassifier(Small(), epochs=40, optimizer=pnn.Adam(0.01)),
        NetworkRegressor(Small(), epochs=60, optimizer=pnn.Adam(0.01)),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


NOT_OURS = {
    "test_gradient": "calls the private `_loss_grad_lbfgs`; tests/test_conformance.py checks our gradients",
}
"""Tests of scikit-learn's that reach into what only its own class has, each with the reason."""


def their_tests():
    """Return the tests of scikit-learn's perceptrons with ours in the place of them."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if spec is None:
        return {}
    source = Path(spec.origin).read_text(encoding="utf-8")
    line = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    assert source.count(line) == 1
    names = {"__name__": "their_tests"}
    exec(
        compile(
            source.replace(line, "from portable_nn.adapters.sklearn import MLPClassifier, MLPRegressor"),
            spec.origin,
            "exec",
        ),
        names,
    )
    return {name: test for name, test in names.items() if re.match("test_", name)}


for _name, _test in their_tests().items():
    if _name not in NOT_OURS:
        globals()[_name + "_of_scikit_learn"] = _test


@pytest.fixture
def global_random_seed():
    return 42
