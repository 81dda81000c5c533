"""`portable-nn check`: the gradients of every layer and loss, by hand and by other means."""

from argparse import Namespace

from portable_nn.arrays import BACKENDS, namespace
from portable_nn.cli.console import Commands, say
from portable_nn.testing import Report, check_layer
from portable_nn.testing.cases import CASES

__all__ = ["add_to"]

_ORACLES = ("central differences", "torch autograd", "jax.vjp")


def add_to(commands: Commands) -> None:
    """Add the command and its argument."""
    parser = commands.add_parser(
        "check",
        help="check all gradients",
        description="Compare the gradients of every layer and loss, as a backend computes them in float64, with "
        "central differences and, where installed, with torch autograd and jax.vjp. Printed is the largest difference "
        "of a gradient, relative to its largest element.",
    )
    parser.set_defaults(command=check)
    parser.add_argument("--backend", choices=BACKENDS, default="numpy", help="(default: numpy)")


def check(options: Namespace) -> int:
    """Print a table of all layers and losses; return 1 if a gradient is wrong."""
    namespace(options.backend)  # if it is missing, that is said before anything is printed
    wrong: list[Report] = []
    width = max(map(len, CASES))
    say("  ".join([f"{'':{width}}", *_ORACLES]))
    for name, case in CASES.items():
        layer, inputs = case.make()
        report = check_layer(layer, *inputs, xp=options.backend, raises=False)
        wrong += [] if report.ok else [report]
        cells = [f"{_error(report, oracle):>{len(oracle)}}" for oracle in _ORACLES]
        say("  ".join([f"{name:{width}}", *cells, "ok" if report.ok else "WRONG"]))
    say(f"{options.backend}: {len(CASES) - len(wrong)} of {len(CASES)} layers and losses have the right gradients")
    if wrong:
        say("\n\n".join(["", *map(str, wrong)]))
    return 1 if wrong else 0


def _error(report: Report, oracle: str) -> str:
    errors = [row.error for row in report.rows if row.oracle == oracle]
    return f"{max(errors):.1e}" if errors else "-"
