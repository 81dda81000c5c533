"""How the command speaks: lines on stdout, tables, and complaints of one line on stderr."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

__all__ = ["Commands", "Parser", "complain", "say", "table"]


class Commands(Protocol):
    """What argparse returns for a parser's subcommands."""

    def add_parser(self, name: str, **options: Any) -> "Parser":
        """Return the parser of a new subcommand."""
        ...


class Parser(argparse.ArgumentParser):
    """A parser that raises what it finds wrong, as a ValueError, and takes no abbreviations."""

    def __init__(self, prog: str, **options: Any):
        super().__init__(prog, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise `message`."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def say(text: str) -> None:
    """Write lines to stdout at once, so that they stand before the progress bar, which goes to stderr."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(error: object, status: int) -> int:
    """Write one line to stderr and return `status`."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        text = f"not enough memory: {text}"
    sys.stderr.write(f"portable-nn: {' '.join(text.split())}\n")
    return status


def table(rows: Sequence[Sequence[str]], align: str = "<") -> str:
    """Return rows of equally many cells as lines, each column aligned left (<) or right (>)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{align}{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
