"""Chains of elementwise kernels: one text for all of them, in which only what is asked for goes through memory.

A chain works on arrays of one shape and dtype. It may begin with the bias of an affine layer, whose product of matrices
is made first, and end with the sums over a batch: both need matrices.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from portable_nn.kernels.fast._cuda.elementwise import ACTIVATIONS, MIXED, summed_by_column
from portable_nn.kernels.fast._cuda.launcher import Launcher
from portable_nn.kernels.fast._cuda.launches import flat_launch
from portable_nn.random import first_row

__all__ = ["CHAINABLE", "CHAIN_FIRST", "CHAIN_LAST", "chained"]

Step: TypeAlias = tuple[str, tuple[Any, ...], Hashable]
"""A kernel, its arguments, and what stands for its result. Arguments are what stands for arrays, or numbers, or what
the kernel does not need for arrays of one shape."""


class _Formula(NamedTuple):
    """What a step makes of its first arguments, by their names; each is an operand or a number."""

    names: str
    value: str


_FORMULAS = {
    "add": _Formula("a b", "a + b"),
    "add_scaled": _Formula("a b factor", "a + factor * b"),
    "alpha_dropout": _Formula("x mask rate", "alpha_scale_of(rate) * ((mask > 0 ? x : FLOOR) - rate * FLOOR)"),
    "alpha_dropout_gradient": _Formula("dy mask rate", "mask > 0 ? alpha_scale_of(rate) * dy : real(0)"),
    "divide": _Formula("a b", "a / b"),
    "divide_gradient_a": _Formula("dy b", "dy / b"),
    "divide_gradient_b": _Formula("dy a b", "-dy * (a / b) / b"),
    "exp": _Formula("a", "exp(a)"),
    "exp_gradient": _Formula("dy y", "dy * y"),
    "log": _Formula("a", "log(a)"),
    "log_gradient": _Formula("dy a", "dy / a"),
    "multiply": _Formula("a b", "a * b"),
    "multiply_gradient": _Formula("dy other", "dy * other"),
    "negative": _Formula("a", "-a"),
    "negative_gradient": _Formula("dy", "-dy"),
    "subtract": _Formula("a b", "a - b"),
    "subtract_gradient_b": _Formula("dy", "-dy"),
}
for _name, _activation in ACTIVATIONS.items():
    _numbers = " ".join(number.split()[-1] for number in _activation.numbers)
    _FORMULAS[_name] = _Formula(f"x {_numbers}", _activation.value)
    _FORMULAS[f"{_name}_gradient"] = _Formula(f"dy {_activation.kept} {_numbers}", _activation.gradient)

CHAINABLE = frozenset({*_FORMULAS, "dropout_mask"})
"""The kernels that may stand in a chain."""

_SUMS = "affine_gradient_b"

CHAIN_FIRST = frozenset({"affine", *(f"affine_{name}" for name in ACTIVATIONS)})
"""Those that may stand at its beginning alone, there only with a bias: an affine layer, or one and its activation."""

CHAIN_LAST = frozenset({_SUMS, *(f"{name}_gradient_{_SUMS}" for name in ACTIVATIONS)})
"""Those that may stand at its end alone: sums over the batch, or a gradient and those."""

_CHAIN = """
extern "C" __global__ void kernel_chain(PARAMETERS)
{
    EACH(i, x, size) {
        STATEMENTS
    }
}
"""


class _Chain:
    """The text of a chain while it is written, and the numbers that are passed to it."""

    def __init__(self, inputs: Sequence[Hashable]):
        self.inputs = len(inputs)
        self.values = {value: k for k, value in enumerate(inputs)}
        self.loaded: list[int] = []
        self.statements: list[str] = []
        self.declared: list[str] = []
        self.numbers: list[
            Callable[[Sequence[Any], tuple[int, ...]], float]
        ] = []  # of the arguments of a call, and a shape
        self.summed: int | None = None

    def number(self, kind: str, name: str, number: Callable[[Sequence[Any], tuple[int, ...]], float]) -> None:
        """Take a number as a parameter."""
        self.declared.append(f"{kind} {name}")
        self.numbers.append(number)

    def add(self, name: str, arguments: Sequence[Any], result: Any) -> None:
        """Write a step."""
        if name in CHAIN_LAST:
            if name != _SUMS:
                result, sums = result
                self.add(name.removesuffix(f"_{_SUMS}"), arguments, result)
                arguments, result = (result,), sums
            self.summed, self.values[result] = self._loaded(arguments[0]), len(self.values)
            return
        k = self.values[result] = len(self.values)
        if name == "dropout_mask":
            self._add_mask(k, *arguments[1:])
            return
        formula, inside = _FORMULAS.get(name.removeprefix("affine_"), _Formula("x", "x")), list[str]()
        if name in CHAIN_FIRST:
            inside.append("x = product[i] + bias[COLUMN]")
            arguments = arguments[3:]
        for word, argument in zip(formula.names.split()[len(inside) :], arguments, strict=False):
            if argument in self.values:
                inside.append(f"{word} = v{self._loaded(argument)}")
            else:
                self.number("double", f"{word}_{k}", lambda _, __, number=float(argument): number)
                inside.append(f"{word} = real({word}_{k})")
        self.statements.append(f"real v{k}; {{ real {', '.join(inside)}; v{k} = {formula.value}; }}")

    def _loaded(self, value: Hashable) -> int:
        """Return the number of a value that is used."""
        number = self.values[value]
        if number < self.inputs and number not in self.loaded:
            self.loaded.append(number)
        return number

    def _add_mask(self, k: int, rate: float, key: Hashable, layer: int) -> None:
        given = self.values[key]
        self.number("integer", f"width_{k}", lambda _, shape: math.prod(shape[1:]))
        self.number("integer", f"first_{k}", lambda arguments, shape: first_row((*shape, 1)[0], arguments[given]))
        self.number("integer", f"key0_{k}", lambda arguments, _: arguments[given][0])
        self.number("integer", f"key1_{k}", lambda arguments, _: arguments[given][1])
        self.number("integer", f"layer_{k}", lambda _, __: layer)
        self.number("integer", f"least_{k}", lambda _, __: round(rate * 2**24))
        self.number("double", f"kept_{k}", lambda _, __: 1.0 / (1.0 - rate))
        bits = f"mask_bits(i, width_{k}, first_{k}, key0_{k}, key1_{k}, layer_{k})"
        self.statements.append(f"real v{k} = {bits} >= least_{k} ? real(kept_{k}) : real(0);")

    def text(self, outputs: Sequence[int], *, begins: bool) -> str:
        """Return the text of the kernel; `outputs` are arrays in the shape of all others."""
        loads = [f"real v{k} = in_{k}[i];" for k in self.loaded]
        stores = [f"out_{k}[i] = v{k};" for k in outputs]
        arrays = ["const real* product", "const real* bias"] if begins else []
        arrays += [f"const real* in_{k}" for k in self.loaded] + [f"real* out_{k}" for k in outputs]
        lines = [*loads, *self.statements, *stores]
        mixed = MIXED if any("mask_bits(" in line for line in lines) else ""
        if self.summed is not None:
            term = " ".join([*lines, f"sum += v{self.summed};"]).replace("COLUMN", "column")
            return mixed + summed_by_column("chain_and_sums", ", ".join(arrays), term, self.declared)
        sizes = ["integer size", *(["integer columns"] if begins else [])]
        text = _CHAIN.replace("PARAMETERS", ", ".join([*arrays, *sizes, *self.declared]))
        return mixed + text.replace("STATEMENTS", "\n        ".join(lines).replace("COLUMN", "i % columns"))


def chained(
    device: Launcher, inputs: Sequence[Hashable], steps: Sequence[Step], outputs: Sequence[Hashable]
) -> Callable[..., Any]:
    """Return the kernel of a chain: it takes the inputs and returns the outputs, one or a tuple of several.

    An input that is a random key is no array. Of all the others but those of an affine layer, which is the first step,
    and of all results but sums, which are the last output, shape and dtype are the same.
    """
    chain, (first, given, _) = _Chain(inputs), steps[0]
    for step in steps:
        chain.add(*step)
    begins, sums = first in CHAIN_FIRST, chain.summed is not None
    count = len(outputs) - sums
    text = chain.text([chain.values[output] for output in outputs[:count]], begins=begins)
    layer = [chain.values[value] for value in given[:3]] if begins else []

    def kernel(*arguments: Any, out: Any = None) -> Any:
        memory = cast("tuple[Any, ...]", out) if isinstance(out, tuple) else (out,) * len(outputs)
        arrays: list[Any] = []
        if begins:
            x, W, b = (arguments[k] for k in layer)
            arrays += device.product(x, W, (x.shape[0], W.shape[1]), memory[0] if count else None), b
        like = arrays[0] if begins else next(a for a in arguments if not isinstance(a, tuple))
        shape, dtype = like.shape, like.dtype
        # The product is written over by what is made of it.
        results = [device.memory(arrays[0] if begins and not k else memory[k], shape, dtype) for k in range(count)]
        arrays = [device.contiguous(array, dtype) for array in (*arrays, *(arguments[k] for k in chain.loaded))]
        numbers = [number(arguments, shape) for number in chain.numbers]
        if sums:
            results.append(device.sums(text, shape, (*arrays, *results), memory[-1], *numbers))
        else:
            sizes = (like.size, shape[1]) if begins else (like.size,)
            device.launch(text, flat_launch(like.size), dtype, *arrays, *results, *sizes, *numbers)
        return tuple(results) if len(outputs) > 1 else results[0]

    return kernel
