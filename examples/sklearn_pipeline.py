"""A pipeline of scikit-learn with a network of ours at its end, tuned by a grid search, on NumPy and on torch."""

import os
import warnings

os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it, before it is imported

import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import portable_nn as pnn
from portable_nn.adapters.sklearn import MLPClassifier


def search() -> GridSearchCV:
    estimator = MLPClassifier(max_iter=30, learning_rate_init=5e-3, random_state=0)
    grid = {"mlpclassifier__hidden_layer_sizes": [(4,), (64,)], "mlpclassifier__dropout": [0.0, 0.2]}
    return GridSearchCV(make_pipeline(StandardScaler(), estimator), grid, cv=3)


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # thirty epochs are meant
    (x, t), (x_test, t_test) = pnn.datasets.load_digits()

    here = search().fit(x, t)
    print(f"NumPy: {here.best_params_}, test accuracy {here.score(x_test, t_test):.4f}")
    assert here.best_params_["mlpclassifier__hidden_layer_sizes"] == (64,)
    assert here.score(x_test, t_test) > 0.96

    try:
        import torch
    except ImportError:
        print("torch is not installed: that was all")
        return
    with sklearn.config_context(array_api_dispatch=True):  # tensors stay tensors, on their device
        there = search().fit(torch.asarray(x), torch.asarray(t))
        predicted = there.predict(torch.asarray(x_test))
        print(f"torch: {there.best_params_}, predictions are a {type(predicted).__name__} on {predicted.device}")
    assert there.best_params_ == here.best_params_
    assert (predicted.numpy() == t_test).mean() > 0.96


if __name__ == "__main__":
    main()
