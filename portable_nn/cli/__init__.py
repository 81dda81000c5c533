"""The command `portable-nn`: train, predict, backends, bench and check, one file each."""

import os
import sys
import warnings
from collections.abc import Sequence

import portable_nn
from portable_nn import starting
from portable_nn.cli import backends, bench, check, predict, train
from portable_nn.cli.console import Parser, complain
from portable_nn.errors import BackendError, DivergenceError, DTypeError, NamespaceError

__all__ = ["main"]

_STATUSES = "exit status: 0 done, 1 wrong gradients or no finite loss, 2 wrong arguments or files, 130 ended by Ctrl-C"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; what goes wrong is said in one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0 if all went well; 1 if `check` found a wrong gradient or training lost its way; 2 if an argument, a backend or
        a file is wrong; 130 if Ctrl-C ended it.

    Raises
    ------
    SystemExit
        For `--help` and `--version`.
    """
    try:
        starting.over()
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            status: int = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as in `portable-nn predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go at exit
        return 0
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except DivergenceError as error:
        return complain(error, 1)
    except (BackendError, DTypeError, NamespaceError, ImportError, MemoryError, OSError, ValueError) as error:
        return complain(error, 2)


def _say_warning(message: Warning | str, *where: object) -> None:
    complain(message, 0)


def _parser() -> Parser:
    parser = Parser("portable-nn", description="Train neural networks and use them.", epilog=_STATUSES)
    parser.add_argument("--version", action="version", version=f"portable-nn {portable_nn.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, help="one of these; COMMAND --help says more")
    for module in (train, predict, backends, bench, check):
        module.add_to(commands)
    return parser
