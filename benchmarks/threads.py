"""One thread for all that computes in this process."""

from threadpoolctl import threadpool_limits

from portable_nn.kernels.fast import _mkl

__all__ = ["one_thread"]


def one_thread() -> threadpool_limits:
    """Return a context in which every BLAS keeps to one thread; MKL as well, which else would be loaded only later."""
    _mkl.library()
    return threadpool_limits(limits=1)
