"""Types of arguments: each reads the text of one and says what is wrong with it."""

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from portable_nn.metrics.measuring import better_of_ours

__all__ = ["column", "count", "fraction", "metric", "natural", "output_file", "positive", "share", "size"]


def count(text: str) -> int:
    """Return a whole number above 0."""
    return _whole(text, least=1)


def natural(text: str) -> int:
    """Return a whole number of at least 0."""
    return _whole(text, least=0)


def size(text: str) -> int:
    """Return a whole number above 0, one of several in a row."""
    try:
        return count(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; the data go before the sizes") from None


def positive(text: str) -> float:
    """Return a finite number above 0."""
    return _number(text, "a number above 0", lambda value: 0 < value < math.inf)


def share(text: str) -> float:
    """Return a number from 0 up to, but not including, 1."""
    return _number(text, "a number from 0 to below 1", lambda value: 0 <= value < 1)


def fraction(text: str) -> float:
    """Return a number between 0 and 1."""
    return _number(text, "a number between 0 and 1", lambda value: 0 < value < 1)


def column(text: str) -> int | str:
    """Return a column's index, if the text is a whole number, else its name."""
    try:
        return int(text)
    except ValueError:
        return text


def metric(text: str) -> str:
    """Return the name of a metric that is a number."""
    known = better_of_ours()
    if text not in known:
        raise argparse.ArgumentTypeError(
            f"there is no metric {text}, there are {', '.join(known)}; the data go before the metrics"
        )
    return text


def output_file(*endings: str) -> Callable[[str], Path]:
    """Return the type of paths with one of these endings, at which a file can be written.

    It is tried out before anything is computed, with a file beside it that vanishes at once.
    """

    def output_path(text: str) -> Path:
        path = Path(text)
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text} is a folder, a file is needed")
        if path.suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"needs a name that ends in {' or '.join(endings)}, got {text}")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {path.parent} for {path.name}")
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise argparse.ArgumentTypeError(f"cannot write in {path.parent}: {error.strerror}") from None
        if path.exists() and not os.access(path, os.W_OK):
            raise argparse.ArgumentTypeError(f"{text} may not be written")
        return path

    return output_path


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"needs a whole number of at least {least}, got {text}")
    return value


def _number(text: str, needed: str, is_good: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_good(value):
        raise argparse.ArgumentTypeError(f"needs {needed}, got {text}")
    return value
