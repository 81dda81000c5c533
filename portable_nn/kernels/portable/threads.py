"""On how many threads products are computed, where that is for this library to say."""

from contextlib import AbstractContextManager, nullcontext

__all__ = ["limited_threads"]


def limited_threads(multiplications: float, count: int | None = None) -> AbstractContextManager[None]:
    """Within it, multiply on `count` threads, or as many as suit products of up to so many multiplications."""
    return nullcontext()
