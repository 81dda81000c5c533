"""Ctrl-C that waits for the running step."""

import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["Interruption"]


class Interruption:
    """While this context lasts, a first Ctrl-C only sets `asked`; a second one raises KeyboardInterrupt.

    Outside the main thread, which alone receives signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        previous = signal.getsignal(signal.SIGINT)
        # One that is ignored (nohup) stays so; None stands for one that Python cannot put back.
        if threading.current_thread() is threading.main_thread() and previous not in (signal.SIG_IGN, None):
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
