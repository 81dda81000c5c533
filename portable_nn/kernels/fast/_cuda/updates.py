"""Updates of parameters in place, as `kernels/portable/updates.py` defines them: one launch over a flat array.

Several updates, one after the other, are one launch too: their statements follow one another. A norm of all that they
wrote ends a launch. Numbers are combined in double and rounded once, as Python and NumPy do it.
"""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["NORM", "RULES", "UPDATES", "chain", "letters"]


class Rule(NamedTuple):
    """What an update does at each i. Its arrays and numbers stand in the order of the portable function's arguments.

    An array has the same letter in all updates. `written` says of each array whether the update writes it.
    """

    arrays: str
    written: tuple[bool, ...]
    numbers: str
    statements: str


NORM = "norm"
"""What ends a chain of updates of which the norm is wanted."""


_VELOCITY = "v[i] = real(momentum) * v[i] - real(lr) * g[i];"
_SCALED_STEP = "p[i] -= real(lr) * g[i] / (sqrt(h[i]) + real(epsilon));"

RULES = {
    "sgd": Rule("p g", (True, False), "lr", "p[i] -= real(lr) * g[i];"),
    "momentum": Rule("p g v", (True, False, True), "lr momentum", f"{_VELOCITY} p[i] += v[i];"),
    "nesterov": Rule(
        "p g v",
        (True, False, True),
        "lr momentum",
        f"{_VELOCITY} p[i] += real(momentum) * v[i] - real(lr) * g[i];",
    ),
    "adagrad": Rule("p g h", (True, False, True), "lr epsilon", f"h[i] += g[i] * g[i]; {_SCALED_STEP}"),
    "rmsprop": Rule(
        "p g h",
        (True, False, True),
        "lr decay epsilon",
        f"h[i] = real(decay) * h[i] + real(1 - decay) * (g[i] * g[i]); {_SCALED_STEP}",
    ),
    "adam": Rule(
        "p g m v",
        (True, False, True, True),
        "lr beta1 beta2 epsilon",
        "m[i] = real(beta1) * m[i] + real(1 - beta1) * g[i]; "
        "v[i] = real(beta2) * v[i] + real(1 - beta2) * (g[i] * g[i]); "
        "p[i] -= real(lr) * m[i] / (sqrt(v[i]) + real(epsilon));",
    ),
    "add_l2": Rule("g p", (True, False), "weight_decay", "g[i] += real(weight_decay) * p[i];"),
    "decay": Rule("p", (True,), "rate", "p[i] *= real(1 - rate);"),
    "clip_by_value": Rule(
        "g",
        (True,),
        "limit",
        "g[i] = g[i] > real(limit) ? real(limit) : g[i] < real(-limit) ? real(-limit) : g[i];",
    ),
    "clip_by_global_norm": Rule("g", (True,), "norm_limit", "g[i] = real(g[i] * within.scale * within.rest);"),
}
"""The updates by name. Before `clip_by_global_norm` there is a launch for the norm."""

_CHAIN = """
extern "C" __global__ void kernel_NAME(PARAMETERS)
{
    BEFORE
    EACH(i, x, size) { STATEMENTS }
    AFTER
}
"""

_WITHIN = "Factor within = factor_within(norms, count, norm_limit);"


def chain(names: Sequence[str]) -> str:
    """Return the text of the kernel that does updates one after the other, or their norm after them.

    Its parameters: the arrays by `letters`; then for the norm, where to write it; and for what needs it, how many norms
    there are and where; the number of elements, and the numbers of all updates.
    """
    rules = [RULES[name] for name in names if name != NORM]
    arrays = [f"{'' if written else 'const '}real* {letter}" for letter, written in letters(names).items()]
    numbers = [f"double {number}" for rule in rules for number in rule.numbers.split()]
    before, after, statements = "", "", " ".join(rule.statements for rule in rules)
    if "clip_by_global_norm" in names:
        arrays, before = [*arrays, "const double* norms", "integer count"], _WITHIN
    if NORM in names:
        arrays = [*arrays, "double* norm", "double* partials", "unsigned* ticket"]
        before, after = "Squares sum = {0, 0};", "add_up_squares(sum, norm, partials, ticket);"
        statements += " sum = sum + squares_of(g[i]);"
    text = _CHAIN.replace("NAME", "_".join(names)).replace("PARAMETERS", ", ".join([*arrays, "integer size", *numbers]))
    return text.replace("BEFORE", before).replace("AFTER", after).replace("STATEMENTS", statements.strip())


def letters(names: Sequence[str]) -> dict[str, bool]:
    """Return the arrays of a chain of updates, and whether it writes them."""
    written = {"g": False} if NORM in names else dict[str, bool]()
    for name in names:
        if name != NORM:
            for letter, changed in zip(RULES[name].arrays.split(), RULES[name].written, strict=True):
                written[letter] = written.get(letter, False) or changed
    return written


UPDATES = {
    NORM: chain([NORM]),
    **{name: chain([name]) for name in RULES},
}
"""The text of each kernel by its name."""
