"""Which steps suit a network's backend."""

import importlib.util
import math
import warnings
from typing import Literal

from portable_nn.kernels import PORTABLE, Kernels, is_recordable, kernels_at
from portable_nn.metrics import Measuring
from portable_nn.networks import Network
from portable_nn.networks.opacity import opaque_parts
from portable_nn.optimizers import Optimizer
from portable_nn.training.accumulation import check_accumulates
from portable_nn.training.base_step import TrainingStep, made_for
from portable_nn.training.compiled_step import CompiledStep
from portable_nn.training.mixed_step import MixedStep, ScaledStep
from portable_nn.training.planned_step import PlannedStep

__all__ = ["Compile", "training_step"]

Compile = Literal["auto"] | bool
"""Whether to compile a training step: see `Trainer`."""

_WORTH_COMPILING = 50_000
"""Parameters from which on updates in one pass make up for importing what compiles them."""


def training_step(
    network: Network,
    optimizer: Optimizer,
    earlier: TrainingStep | None = None,
    compile: Compile = "auto",
    accumulate: int = 1,
    measuring: Measuring | None = None,
) -> TrainingStep:
    """Return the steps of a training run, in the way that suits the network's backend.

    Those of an `earlier` run go on if nothing has changed that they were made for. They measure what `measuring` says.

    Raises
    ------
    ShapeError, ValueError
        If the optimizer has updated another network, the loss is no single number or not to be accumulated, or nothing
        here compiles for the backend.
    MissingExtraError
        If the compiler is not installed.
    """
    network.criterion.check_reduces("training")
    if accumulate > 1:
        check_accumulates(network.criterion)
    optimizer.belong(network.identity)
    wanted = (*made_for(network, optimizer), compile, accumulate, measuring)
    if earlier is None or earlier.made_for != wanted:
        earlier = _new(network, optimizer, compile, (accumulate, measuring))
        earlier.made_for = wanted
    earlier.begin()
    return earlier


def _new(network: Network, optimizer: Optimizer, compile: Compile, how: tuple[int, Measuring | None]) -> TrainingStep:
    if compile not in ("auto", True, False):
        raise ValueError(f'compile needs to be "auto", True or False, got {compile!r}')
    kernels = kernels_at(network.place)
    whole = kernels.compile_step is not PORTABLE.compile_step
    if compile is True and not whole and kernels.compiler is None:
        raise ValueError(f"compile=True needs jax, torch or numpy: nothing compiles steps of {network.place.backend}")
    if not kernels.updates or not network.trainable() or (compile is True and whole):
        compiled = compile is not False and (not whole or _may_compile(network, optimizer))
        return CompiledStep(network, optimizer, *how, compiled=compiled)
    if compile is True or (compile == "auto" and _pays(network, kernels)):
        kernels = kernels.compiled()
    kind = {"bfloat16": MixedStep, "float16": ScaledStep}.get(network.place.precision, PlannedStep)
    return kind(network, optimizer, kernels, *how)


def _may_compile(network: Network, optimizer: Optimizer) -> bool:
    """Tell whether all code of a step may be compiled as one, with a warning if not."""
    names = opaque_parts(network)
    if not is_recordable(type(optimizer)):
        names.append(type(optimizer).__name__)
    if names:
        warnings.warn(
            f"steps with {', '.join(names)} run uncompiled, which is slow: compiling would freeze what their Python "
            "code computes. A class that computes with kernels and arrays alone may say recordable = True in its body",
            stacklevel=6,  # where `fit` is called
        )
    return not names


def _pays(network: Network, kernels: Kernels) -> bool:
    """Tell whether compiled kernels are worth it, and to be had."""
    arrays = network.arrays()
    size = sum(math.prod(arrays[i].shape) for i in network.trainable().values())
    return (
        size >= _WORTH_COMPILING and kernels.compiler is not None and bool(importlib.util.find_spec(kernels.compiler))
    )
