"""Chains of elementwise kernels: one text for all of them, in which only what is asked for goes through memory.

A chain works on arrays of one shape and dtype.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from portable_nn.kernels.fast._cuda.elementwise import ACTIVATIONS, MIXED
from portable_nn.kernels.fast._cuda.launcher import Launcher
from portable_nn.kernels.fast._cuda.launches import flat_launch
from portable_nn.random import first_element

__all__ = ["CHAINABLE", "chained"]

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

_CHAIN = """
extern "C" __global__ void kernel_chain(PARAMETERS)
{
    EACH(i, x, size) {
        STATEMENTS
    }
}
"""

_MASK = """unsigned bits = mixed((unsigned)(first_K + i) ^ (unsigned)key0_K);
        bits = mixed(mixed(bits + (unsigned)key1_K) ^ (unsigned)layer_K);"""


class _Chain:
    """The text of a chain while it is written, and the numbers that are passed to it."""

    def __init__(self, inputs: Sequence[Hashable]):
        self.inputs = len(inputs)
        self.values = {value: k for k, value in enumerate(inputs)}
        self.loaded: list[int] = []
        self.statements: list[str] = []
        self.declared: list[str] = []
        self.numbers: list[Callable[[Sequence[Any]], float]] = []  # of the arguments of a call

    def number(self, kind: str, name: str, number: Callable[[Sequence[Any]], float]) -> None:
        """Take a number as a parameter."""
        self.declared.append(f"{kind} {name}")
        self.numbers.append(number)

    def add(self, name: str, arguments: Sequence[Any], result: Hashable) -> None:
        """Write a step."""
        k = self.values[result] = len(self.values)
        if name == "dropout_mask":
            self._add_mask(k, *arguments[1:])
            return
        formula, inside = _FORMULAS[name], list[str]()
        for word, argument in zip(formula.names.split(), arguments, strict=False):
            if argument in self.values:
                number = self.values[argument]
                if number < self.inputs and number not in self.loaded:
                    self.loaded.append(number)
                inside.append(f"{word} = v{number}")
            else:
                self.number("double", f"{word}_{k}", lambda _, number=float(argument): number)
                inside.append(f"{word} = real({word}_{k})")
        self.statements.append(f"real v{k}; {{ real {', '.join(inside)}; v{k} = {formula.value}; }}")

    def _add_mask(self, k: int, rate: float, key: Hashable, layer: int) -> None:
        given = self.values[key]
        self.number("integer", f"first_{k}", lambda arguments: first_element(_array(arguments).size, arguments[given]))
        self.number("integer", f"key0_{k}", lambda arguments: arguments[given][0])
        self.number("integer", f"key1_{k}", lambda arguments: arguments[given][1])
        self.number("integer", f"layer_{k}", lambda _: layer)
        self.number("integer", f"least_{k}", lambda _: round(rate * 2**24))
        self.number("double", f"kept_{k}", lambda _: 1.0 / (1.0 - rate))
        mask = f"v{k} = bits >> 8 >= least_{k} ? real(kept_{k}) : real(0);"
        self.statements.append(f"real v{k}; {{ {_MASK.replace('_K', f'_{k}')} {mask} }}")

    def text(self, outputs: Sequence[int]) -> str:
        """Return the text of the kernel."""
        loads = [f"real v{k} = in_{k}[i];" for k in self.loaded]
        stores = [f"out_{k}[i] = v{k};" for k in outputs]
        arrays = [f"const real* in_{k}" for k in self.loaded] + [f"real* out_{k}" for k in outputs]
        text = _CHAIN.replace("PARAMETERS", ", ".join([*arrays, "integer size", *self.declared]))
        text = text.replace("STATEMENTS", "\n        ".join([*loads, *self.statements, *stores]))
        return (MIXED if "mixed(" in text else "") + text


def _array(arguments: Sequence[Any]) -> Any:
    """Return the first argument that is no random key."""
    return next(argument for argument in arguments if not isinstance(argument, tuple))


def chained(
    device: Launcher, inputs: Sequence[Hashable], steps: Sequence[Step], outputs: Sequence[Hashable]
) -> Callable[..., Any]:
    """Return the kernel of a chain: it takes the inputs and returns the outputs, one or a tuple of several.

    An input that is a random key is no array. Of all the others, and of all results, shape and dtype are the same.
    """
    chain = _Chain(inputs)
    for step in steps:
        chain.add(*step)
    text, loaded, numbers = chain.text([chain.values[output] for output in outputs]), chain.loaded, chain.numbers

    def kernel(*arguments: Any, out: Any = None) -> Any:
        first = _array(arguments)
        shape, dtype = first.shape, first.dtype
        memory = cast("tuple[Any, ...]", out) if isinstance(out, tuple) else (out,) * len(outputs)
        results = tuple(device.memory(old, shape, dtype) for old in memory)
        arrays = [device.contiguous(arguments[k], dtype) for k in loaded]
        given = [number(arguments) for number in numbers]
        device.launch(text, flat_launch(first.size), dtype, *arrays, *results, first.size, *given)
        return results if len(outputs) > 1 else results[0]

    return kernel
