"""What comes into a training run: arrays or iterables, checked, as batches."""

import warnings
from collections.abc import Mapping
from typing import Any

from portable_nn.arrays import flat, is_array, is_nested_list, is_on_cpu, namespace_of, to_numpy
from portable_nn.kernels import PORTABLE, kernels_for
from portable_nn.losses import Loss
from portable_nn.losses.targets import IGNORED
from portable_nn.networks import Network
from portable_nn.training.batch_streams import BatchStream
from portable_nn.training.batches import Batches
from portable_nn.training.padding import Padding
from portable_nn.training.samples import check_finite, checked, count, parts, split, whole

__all__ = ["to_evaluate", "to_train"]

_BATCH = 1024
"""Samples that are evaluated at a time."""


def to_train(
    network: Network,
    x: Any,
    t: Any,
    weight: Any,
    validation: Any,
    share: float,
    *,
    again: bool,
    batch_size: int,
    shuffle: bool,
    steps: int | None = None,
    accumulate: int = 1,
    pad: bool = False,
) -> tuple[Batches | BatchStream, Batches | BatchStream | None]:
    """Return the batches to train on and those to validate with, from the arguments of `Trainer.fit`.

    `again` says whether an iterable may be gone through more than once, `steps` how many batches of it are an epoch.

    Raises
    ------
    ShapeError, DTypeError, LabelError, NamespaceError, TypeError, ValueError
        If one of them does not fit, or numbers in x are not finite.
    """
    network.criterion.check_reduces("fit")
    if not 0 <= share < 1:
        raise ValueError(f"fit needs validation_split in [0, 1), got {share}")
    if validation is not None and share:
        raise ValueError("fit needs validation_data or validation_split, got both")
    if t is None:
        _refuse_for_streams(x, weight, share)
        batches, kept = BatchStream(x, network, again=again, steps=steps, accumulate=accumulate, pad=pad), None
    elif steps is not None:
        raise ValueError("steps_per_epoch needs an iterable of batches: with arrays, an epoch is every sample once")
    else:
        batches, kept = _arrays(network, x, t, weight, share, batch_size, shuffle=shuffle, accumulate=accumulate)
    kept = kept if validation is None else _to_validate(network, validation, again=again, pad=pad)
    _warn_of_new_classes(network.criterion, batches, kept)
    return batches, kept


def to_evaluate(
    network: Network,
    x: Any,
    t: Any = None,
    weight: Any = None,
    batch_size: int = _BATCH,
    *,
    again: bool = False,
    pad: bool = False,
) -> Batches | BatchStream:
    """Return the batches of arrays, or without t of an iterable, in their order; raises as `to_train` does."""
    network.criterion.check_reduces("evaluate")
    batch_size = whole("batch_size", batch_size, 1, "evaluate")
    if t is not None:
        return Batches(checked(network, x, t, weight), batch_size, shuffle=False, seed=0)
    _refuse_for_streams(x, weight)
    batches = BatchStream(x, network, again=again)
    if pad and kernels_for(network.place.xp).compile_pass is not PORTABLE.compile_pass:
        # Outside training nothing needs a plan, but a backend that compiles does so for each shape of each operation.
        batches.padding = Padding(network, warns=False)
    return batches


def _arrays(
    network: Network, x: Any, t: Any, weight: Any, share: float, batch_size: int, *, shuffle: bool, accumulate: int
) -> tuple[Batches, Batches | None]:
    data, seed, among, kept = checked(network, x, t, weight), network.seed, None, None
    check_finite("x", network.by_input(data[0]))
    if share:
        among, kept_among = split(count(data[0]), share, seed)
        kept = Batches(data, _BATCH, shuffle=False, seed=0, among=kept_among)
    how: dict[str, Any] = {
        "shuffle": shuffle,
        "seed": seed,
        "place": network.place,
        "among": among,
        "accumulate": accumulate,
    }
    return Batches(data, batch_size, **how), kept


def _refuse_for_streams(source: Any, weight: Any, share: float = 0.0) -> None:
    _refuse_array(source)
    if weight is not None:
        raise ValueError("an iterable of batches brings its weights itself, as (x, t, sample_weight)")
    if share:
        raise ValueError("an iterable of batches cannot be split: fit needs validation_data instead")


def _refuse_array(x: Any) -> None:
    if is_array(x) or isinstance(x, Mapping):
        what = "arrays x by name" if isinstance(x, Mapping) else "an array x"
        raise TypeError(f"targets t are needed beside {what}; only an iterable of batches (x, t) goes without")


def _to_validate(network: Network, validation: Any, *, again: bool, pad: bool) -> Batches | BatchStream:
    given = parts(validation)
    lists = type(validation) is tuple and bool(given) and all(is_nested_list(part) for part in given)
    if not lists and not any(is_array(part) or isinstance(part, Mapping) for part in given):
        return to_evaluate(network, validation, again=again, pad=pad)
    if not 2 <= len(given) <= 3:
        raise ValueError(
            f"fit needs validation_data as the arrays (x, t) or (x, t, sample_weight), got {len(given)} things"
        )
    try:
        batches = Batches(checked(network, *given), _BATCH, shuffle=False, seed=0)
    except Exception as error:
        error.add_note("in validation_data")
        raise
    check_finite("the x of validation_data", network.by_input(batches.arrays[0]))
    return batches


def _warn_of_new_classes(
    criterion: Loss, batches: Batches | BatchStream, validation: Batches | BatchStream | None
) -> None:
    """Warn if samples to validate with are of classes of which there are none to train on."""
    if isinstance(batches, Batches) and isinstance(validation, Batches):
        names = list(criterion.by_name())
        for name, t, t_to_validate in zip(names, flat(batches.arrays[1]), flat(validation.arrays[1]), strict=True):
            unknown = sorted(_classes(t_to_validate, validation.among) - _classes(t, batches.among))
            if unknown:
                named = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
                output = f" of the output {name.removesuffix('_')}" if name else ""
                warnings.warn(
                    f"no sample to train on has the labels {named}{output}, but some to validate with do", stacklevel=4
                )


def _classes(t: Any, among: Any) -> set[int]:
    """Return the labels that occur; none for targets that are no labels, or on another device."""
    if not namespace_of(t).isdtype(t.dtype, "integral") or not is_on_cpu(t):
        return set()
    labels = to_numpy(t)
    labels = labels if among is None else labels[among]
    found: list[int] = namespace_of(labels).unique_values(labels).tolist()
    return {label for label in found if label != IGNORED}
