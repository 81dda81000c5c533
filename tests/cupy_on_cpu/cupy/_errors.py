"""Errors: those of CuPy, and those that only this stand-in raises, for what a GPU would do wrong in silence."""


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""

    def __init__(self, status, name, text):
        super().__init__(f"{name}: {text}")
        self.status = status

    def __reduce__(self):
        return RuntimeError, self.args


class CUDADriverError(CUDARuntimeError):
    """As CuPy's."""


def invalid_device():
    """Return the error of entering a device that is not there."""
    return CUDARuntimeError(101, "cudaErrorInvalidDevice", "invalid device ordinal")


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


class CompileException(Exception):  # noqa: N818  (CuPy's name)
    """As CuPy's: a plain Exception."""

    def __init__(self, message, source, name, options, backend="nvrtc"):
        self._msg, self.source, self.name, self.options, self.backend = message, source, name, options, backend
        super().__init__()

    def __str__(self):
        return self._msg

    def get_message(self):
        """Return the compiler's words."""
        return self._msg


class PerformanceWarning(RuntimeWarning):
    """As CuPy's."""


class StreamRaceError(AssertionError):
    """Work on one stream touches memory that another may still be using. A GPU would say nothing."""


class HostRaceError(AssertionError):
    """Memory of the host was rewritten before its copy to a device was sure to be done. A GPU would say nothing."""


class KernelArgumentError(AssertionError):
    """An argument of a kernel is not what its text says. A GPU would read wild memory."""
