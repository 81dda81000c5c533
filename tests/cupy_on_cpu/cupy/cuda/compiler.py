"""The error of a text that does not compile."""

from cupy._errors import CompileException

__all__ = ["CompileException"]
