"""Updates of parameters in place, as `kernels/portable/updates.py` defines them: one launch over a flat array.

Numbers are combined in double and rounded once, as Python and NumPy do it.
"""

from typing import NamedTuple

__all__ = ["RULES", "UPDATES"]


class Rule(NamedTuple):
    """What an update does at each i. Its arrays and numbers stand in the order of the portable function's arguments.

    `written` says of each array whether the update writes it.
    """

    arrays: str
    written: tuple[bool, ...]
    numbers: str
    statements: str


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
}
"""The updates by name, but for `clip_by_global_norm`, which takes two launches."""

_RULE = """
extern "C" __global__ void kernel_NAME(ARRAYS, integer size NUMBERS)
{
    EACH(i, x, size) { STATEMENTS }
}
"""

_SUM_OF_SQUARES = """
extern "C" __global__ void kernel_sum_of_squares(
    const real* g, real* total, real* partials, unsigned* ticket, integer size)
{
    real sum = 0;
    EACH(i, x, size) sum += g[i] * g[i];
    add_up(sum, 1.0, total, partials, ticket);
}
"""

# Each array has its sum of squares; the norm is that of all of them together.
_CLIP_TO_NORM = """
extern "C" __global__ void kernel_clip_to_norm(
    real* g, const real* sums_of_squares, integer size, double limit, integer count)
{
    real norm = 0;
    for (integer k = 0; k < count; k++)
        norm += sums_of_squares[k];
    norm = sqrt(norm);
    real factor = real(limit) / (norm > real(limit) ? norm : real(limit));
    EACH(i, x, size) g[i] *= factor;
}
"""


def _text(name: str, rule: Rule) -> str:
    arrays = (
        f"{'' if written else 'const '}real* {array}"
        for array, written in zip(rule.arrays.split(), rule.written, strict=True)
    )
    numbers = "".join(f", double {number}" for number in rule.numbers.split())
    text = _RULE.replace("NAME", name).replace("ARRAYS", ", ".join(arrays)).replace("NUMBERS", numbers)
    return text.replace("STATEMENTS", rule.statements)


UPDATES = {
    **{name: _text(name, rule) for name, rule in RULES.items()},
    "sum_of_squares": _SUM_OF_SQUARES,
    "clip_to_norm": _CLIP_TO_NORM,
}
"""The text of each kernel by its name."""
