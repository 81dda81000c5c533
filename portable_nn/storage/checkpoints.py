"""Checkpoints of a training run: all that it needs to go on as if nothing had happened.

A run has a folder. Each checkpoint is one file, written whole or not at all, with a checksum; the last few are kept,
and that of the best epoch.
"""

import os
import re
import shutil
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from typing import Any

from portable_nn.errors import CheckpointError
from portable_nn.storage.arrays import PathLike, read_arrays, write_arrays

__all__ = ["Checkpoints", "RunState"]

FORMAT_VERSION = 2

_BEST = "best.safetensors"

_NAME = re.compile(r"epoch-(\d{6})-step-(\d{9})\.safetensors")


@dataclass
class RunState:
    """Where a run is.

    Attributes
    ----------
    epoch, step : int
        Epochs that are finished, and steps of the next one that are done.
    numbers : dict
        What JSON can say: counters, history, schedule, callbacks.
    arrays : dict
        Parameters, optimizer slots and what callbacks keep, by name: "network/0.W", "mean/0.W", ...; parameters with
        which training goes on as "training/0.W" too, if the network is evaluated with others.
    network : dict, optional
        What a file of the network says besides its arrays; with it, a checkpoint can be loaded as a network.
    """

    epoch: int
    step: int
    numbers: dict[str, Any] = field(default_factory=dict[str, Any])
    arrays: dict[str, Any] = field(default_factory=dict[str, Any])
    network: dict[str, Any] | None = None


class Checkpoints:
    """The checkpoints of a run in a folder, which is made if it is not there.

    Parameters
    ----------
    folder : path
    keep : int
        How many of the newest to keep.

    Raises
    ------
    OSError
        If there is no such folder and it cannot be made, or it cannot be written.
    """

    def __init__(self, folder: PathLike, keep: int = 2):
        self.folder, self.keep = Path(folder), keep
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(f"the checkpoint folder {self.folder} cannot be written")

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes out of the folder, as long as this one lives; CheckpointError if one is there."""
        with (self.folder / "lock").open("a+b") as file:
            try:
                _lock(file.fileno())
            except OSError:
                raise CheckpointError(
                    f"another process trains in {self.folder}: wait for it, or take another folder"
                ) from None
            _held.add(file)
            try:
                yield
            finally:
                _held.discard(file)

    def write(self, state: RunState, *, best: bool = False) -> Path:
        """Write a checkpoint, and delete those that are older than is kept.

        Parameters
        ----------
        state : RunState
        best : bool
            Whether it is the best so far, to be kept until there is a better one.

        Raises
        ------
        OSError
            If it cannot be written. The older ones are then still there.
        """
        path = self.folder / f"epoch-{state.epoch:06}-step-{state.step:09}.safetensors"
        place = {"epoch": state.epoch, "step": state.step}
        description = {"version": FORMAT_VERSION, **place, "numbers": state.numbers, "network": state.network}
        write_arrays(path, state.arrays, description)
        if best:
            self._name_best(path)
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        for torn in self.folder.glob(".*.part"):
            torn.unlink(missing_ok=True)
        return path

    def _name_best(self, path: Path) -> None:
        """Give a checkpoint the name of the best as well, in the place of the one before."""
        second = self.folder / ".best.part"
        second.unlink(missing_ok=True)
        try:
            second.hardlink_to(path)
        except OSError:  # not every file system has such links
            shutil.copyfile(path, second)
        second.replace(self.folder / _BEST)

    def newest(self) -> RunState | None:
        """Return the newest checkpoint that is whole, warning of those that are not; None if there is none at all.

        If only that of the best epoch is left, it is that one.

        Raises
        ------
        CheckpointError
            If there are checkpoints, but none can be used.
        """
        paths = self.paths() or self.best()
        for path in reversed(paths):
            try:
                return read(path)
            except (CheckpointError, OSError) as error:
                warnings.warn(f"{error}; going on with an older checkpoint", stacklevel=3)
        if paths:
            raise CheckpointError(f"none of the {len(paths)} checkpoints in {self.folder} can be read")
        return None

    def best(self) -> list[Path]:
        """Return the file of the checkpoint of the best epoch, if there is one."""
        return [path for path in (self.folder / _BEST,) if path.exists()]

    def paths(self) -> list[Path]:
        """Return the files of the checkpoints, the newest last."""
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


def read(path: PathLike) -> RunState:
    """Return what is in a checkpoint.

    Raises
    ------
    CheckpointError
        If it is damaged, or is no checkpoint of this version.
    OSError
        If it cannot be read.
    """
    description, arrays = read_arrays(path, "run", FORMAT_VERSION)
    try:
        numbers: Mapping[str, Any] = dict(description["numbers"])
        epoch, step, network = int(description["epoch"]), int(description["step"]), description.get("network")
        return RunState(epoch, step, dict(numbers), arrays, network)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a run: {error}") from error


_held: set[BufferedRandom] = set()
"""The files by which this process keeps others out of folders."""


def _let_go() -> None:
    """Close them in a process that was forked off: a lock lasts as long as anybody has its file open."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _lock(descriptor: int) -> None:
    """Lock an open file until it is closed, if only by the end of the process; OSError if another process has."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  (not there for POSIX's checkers)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
