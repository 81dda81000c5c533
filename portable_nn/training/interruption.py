"""Ctrl-C, and the signal to end, that wait for the running step."""

import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["Interruption"]


class Interruption:
    """While this context lasts, a first Ctrl-C only sets `asked`; a second one raises KeyboardInterrupt.

    Outside the main thread, which alone receives signals, nothing is changed.

    Parameters
    ----------
    terminates : bool
        Whether SIGTERM too waits until the context ends. Then it does what it would have done at once.
    """

    def __init__(self, *, terminates: bool = False) -> None:
        self.asked = False
        self._signals = [signal.SIGINT, *([signal.SIGTERM] if terminates else [])]
        self._previous: dict[int, Any] = {}
        self._terminated = False

    def __enter__(self) -> Self:
        for number in self._signals if threading.current_thread() is threading.main_thread() else ():
            previous = signal.getsignal(number)
            # One that is ignored (nohup) stays so; None stands for one that Python cannot put back.
            if previous not in (signal.SIG_IGN, None):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._terminated = True
        elif self.asked:
            raise KeyboardInterrupt
        self.asked = True
