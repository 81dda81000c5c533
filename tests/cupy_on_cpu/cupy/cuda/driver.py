"""The errors of the driver."""

from cupy._errors import CUDADriverError

__all__ = ["CUDADriverError"]
