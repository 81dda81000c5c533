"""The errors that a user of portable_nn can meet, each a subclass of the builtin it refines."""

__all__ = [
    "BackendError",
    "CheckpointError",
    "DTypeError",
    "DataFileError",
    "DivergenceError",
    "LabelError",
    "MissingExtraError",
    "NamespaceError",
    "ShapeError",
]


class ShapeError(ValueError):
    """An array has another shape than the one that was needed."""


class LabelError(ValueError):
    """Targets are out of range, of the wrong length, or not a distribution over the classes."""


class DTypeError(TypeError):
    """An array has a data type that cannot be used in its place."""


class NamespaceError(TypeError):
    """Arrays of two libraries, or of two devices, met in one call."""


class BackendError(RuntimeError):
    """An installed array library or one of its devices does not answer."""


class MissingExtraError(ImportError):
    """A package is needed that is not installed; the message names the extra that brings it."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> "MissingExtraError":
        """Return the error for `package`, brought by `extra` and needed for `purpose`."""
        return cls(
            f'{purpose} needs the package {package}: python -m pip install "portable-nn[{extra}]"',
            name=package,
        )


class DataFileError(ValueError):
    """A data file is damaged, cut short, or not of the format that was expected."""


class CheckpointError(ValueError):
    """A saved network cannot be read, or does not describe a network of this version."""


class DivergenceError(ArithmeticError):
    """The training loss, the validation loss or a parameter became NaN or infinite, or a loss exceeded its limit."""
