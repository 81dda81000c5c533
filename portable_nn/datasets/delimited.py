"""Text tables, one sample a line: commas, semicolons or tabs between the cells, and perhaps a line of names on top.

N = rows, F = features.
"""

import contextlib
import csv
import io
import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from portable_nn.datasets.byte_streams import opened
from portable_nn.datasets.finite import Precision, finite
from portable_nn.errors import DataFileError

__all__ = ["Columns", "number", "read_columns"]

_DELIMITERS = "\t;,"
_LONGEST_LINE = 1 << 24
_MISSING = {"", "?", "na", "n/a", "null", "none"}
Row = tuple[int, list[str]]


@dataclass(frozen=True, eq=False)
class Columns:
    """A text table: features x (N, F), their names if it has any, the target's cells, and line numbers."""

    x: NDArray[Any]
    names: tuple[str, ...] | None
    targets: list[str]
    lines: list[int]


def number(cell: str) -> float | None:
    """Return the number that a cell spells, None if it spells none."""
    if "_" in cell or not cell.isascii():  # float() takes 1_000 and other scripts' digits, a table means names by them
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def read_columns(
    path: Path, choose: Callable[[list[str]], int | None], *, named: bool = False, dtype: Precision = "float32"
) -> Columns:
    """Read a text table.

    `choose` is given the first line's cells and returns the index of the target among them, None if there is no
    target. With `named` the first line holds names; else that is found out. The features are read as `dtype`.
    """
    with opened(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        try:
            return _columns(path, _rows(text), choose, named, dtype)
        except UnicodeDecodeError as error:
            raise DataFileError(f"{path}: needed text in UTF-8, got: {error}") from error
        except csv.Error as error:
            raise DataFileError(f"{path}: needed cells parted by comma, semicolon or tab, got: {error}") from error


def _rows(text: TextIO) -> Iterator[Row]:
    """Yield line number and cells of every line that is not blank."""
    lines = _lines(text)
    top = list(itertools.islice(lines, 2))
    reader = csv.reader(itertools.chain(top, lines), delimiter=_delimiter(top), skipinitialspace=True, strict=True)
    for row in reader:
        if len(row) > 1 or any(cell.strip() for cell in row):
            yield reader.line_num, row


def _lines(text: TextIO) -> Iterator[str]:
    """Yield the lines, of which none may be so long that it is no table's."""
    while line := text.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise csv.Error(f"a line of more than {_LONGEST_LINE} characters")
        yield line


def _delimiter(top: list[str]) -> str:
    """Return the delimiter that parts the first two lines into equally many cells, the comma last.

    In 1,5;2,5 the commas stand inside the numbers: taking them would read wrong numbers and say nothing.
    """
    lines = [line for line in top if line.strip()]
    for delimiter in _DELIMITERS:
        if not any(delimiter in line for line in lines):
            continue  # a wide table would look like one long cell, which csv refuses
        widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return ","


def _columns(
    path: Path, rows: Iterator[Row], choose: Callable[[list[str]], int | None], named: bool, dtype: Precision
) -> Columns:
    line, first = next(rows, (0, list[str]()))
    if not first:
        raise DataFileError(f"{path}: needed at least one row, got an empty file")
    top = [cell.strip() for cell in first]
    target = choose(top)
    names = tuple(cell for index, cell in enumerate(top) if index != target)
    has_names = named or _are_names(names)
    if not has_names:
        rows = itertools.chain([(line, first)], rows)

    def label(column: int) -> str:
        return names[column] if has_names else str(column + 1 + (target is not None and column >= target))

    values, targets, lines = array("f" if dtype == "float32" else "d"), list[str](), list[int]()
    for line, cells in rows:
        if len(cells) != len(top):
            raise DataFileError(f"{path}, line {line}: needed {len(top)} cells, got {len(cells)}")
        if target is not None:
            targets.append(cells.pop(target).strip())
        values.extend(_numbers(cells, f"{path}, line {line}", label))
        lines.append(line)
    if not lines:
        raise DataFileError(f"{path}: needed at least one row of numbers, got only a line of names")
    x = np.frombuffer(values, dtype).reshape(len(lines), len(names))
    x = finite(x, lambda row, column: f"{path}, line {lines[row]}, column {label(column)}", dtype)
    if not has_names and _are_counted(names) and _only_first_is_a_name(targets):
        return Columns(x[1:], names, targets[1:], lines[1:])
    return Columns(x, names if has_names else None, targets, lines)


def _are_names(cells: Sequence[str]) -> bool:
    """Say whether some cell is a name; a mark for a missing number does not make a line of names."""
    return _floats(cells) is None and any(number(cell) is None and cell.lower() not in _MISSING for cell in cells)


def _are_counted(cells: Sequence[str]) -> bool:
    """Say whether the cells are 0, 1, 2, ... or 1, 2, 3, ..., which programs give to columns as names."""
    return any(all(cell == str(count) for count, cell in enumerate(cells, start)) for start in (0, 1))


def _only_first_is_a_name(targets: list[str]) -> bool:
    """Say whether the target's cells are a name above numbers."""
    return len(targets) > 1 and _are_names(targets[:1]) and all(number(cell) is not None for cell in targets[1:])


def _numbers(cells: list[str], place: str, label: Callable[[int], str]) -> list[float]:
    """Return the cells as numbers; `label` names a column in errors."""
    floats = _floats(cells)
    if floats is not None:
        return floats
    wrong = next(index for index, cell in enumerate(cells) if number(cell) is None)
    raise DataFileError(f"{place}, column {label(wrong)}: needed a number, got {cells[wrong]!r}")


def _floats(cells: Sequence[str]) -> list[float] | None:
    """Return all cells as numbers, faster than one by one, or None."""
    joined = "".join(cells)
    if joined.isascii() and "_" not in joined:
        with contextlib.suppress(ValueError):
            return [float(cell) for cell in cells]
    return None
