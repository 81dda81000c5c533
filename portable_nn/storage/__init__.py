"""Every file of ours: arrays with a description, networks, checkpoints, and fingerprints of training runs."""

from portable_nn.storage.arrays import PathLike, read_arrays, replace, write_arrays
from portable_nn.storage.checkpoints import Checkpoints, RunState

__all__ = ["Checkpoints", "PathLike", "RunState", "read_arrays", "replace", "write_arrays"]
