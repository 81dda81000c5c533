"""What differentiates a forward pass by itself: torch's autograd and JAX's vjp, in float64."""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from portable_nn import random
from portable_nn.arrays import Place
from portable_nn.kernels import PORTABLE, Kernels
from portable_nn.layers import Run
from portable_nn.layers.inputs import as_tuple
from portable_nn.testing.backends import float64_enabled

__all__ = ["KEY", "Gradients", "Subject", "autograd_gradients", "run_at"]

KEY: random.Key = (20_101, -7_351)
"""The same dropout masks in every pass of a check."""

Gradients = dict[str, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """A differentiable function of named arrays: its value and its gradients by hand, on any run."""

    title: str
    arrays: Gradients
    output: Callable[[Run, dict[str, Any]], Any]
    by_hand: Callable[[Run, dict[str, Any], list[Any]], dict[str, Any]]


def run_at(place: Place, kernels: Kernels | None = None) -> Run:
    """Return a training run, with the same key each time."""
    return Run(place, kernels, training=True, key=KEY)


def autograd_gradients(subject: Subject, dy: list[np.ndarray]) -> Iterator[tuple[str, Gradients]]:
    """Yield the name of each oracle that is installed and can follow the subject, and its gradients."""
    for library, oracle, differentiate in (
        ("torch", "torch autograd", _torch_gradients),
        ("jax", "jax.vjp", _jax_gradients),
    ):
        if importlib.util.find_spec(library) is None or not subject.arrays:
            continue
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message=_AS_A_NUMBER)
                gradients = differentiate(subject, dy)
        except Exception as error:
            if not _cannot_follow(error):
                raise
        else:
            yield oracle, gradients


_AS_A_NUMBER = "Converting a tensor with requires_grad=True to a scalar"
"""How torch warns of numbers that it takes for constants."""


def _cannot_follow(error: Exception) -> bool:
    """Tell whether the subject has made a Python number of an array: JAX raises, torch warns."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return str(error).startswith(_AS_A_NUMBER) or bool(
        kinds & {"ConcretizationTypeError", "TracerArrayConversionError"}
    )


def _torch_gradients(subject: Subject, dy: list[np.ndarray]) -> Gradients:
    torch: Any = importlib.import_module("torch")
    run = run_at(Place("torch", "cpu", "float64"), PORTABLE)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in subject.arrays.items()}
    y = as_tuple(subject.output(run, tensors))
    found = torch.autograd.grad(y, list(tensors.values()), [torch.tensor(d) for d in dy], materialize_grads=True)
    return {name: gradient.numpy() for name, gradient in zip(tensors, found, strict=True)}


def _jax_gradients(subject: Subject, dy: list[np.ndarray]) -> Gradients:
    jax: Any = importlib.import_module("jax")
    with float64_enabled("jax"):
        run = run_at(Place("jax", "cpu", "float64"), PORTABLE)
        arrays = {name: run.place.asarray(array) for name, array in subject.arrays.items()}
        _, vjp = jax.vjp(partial(subject.output, run), arrays)
        douts = [run.place.asarray(d) for d in dy]
        (found,) = vjp(tuple(douts) if len(douts) > 1 else douts[0])
        return {name: np.asarray(found[name]) for name in arrays}  # JAX sorts the names
