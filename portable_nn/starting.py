"""Ctrl-C while the command is still being imported: one line and status 130, as later. Imported before all else."""

import os
import sys

__all__ = ["over"]


def over() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, now that somebody is there to catch it."""
    import signal

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_the_command() -> bool:
    program = getattr(sys, "argv", [""])[0]
    # Python replaces the "-m" as soon as it has imported what it is to run.
    return (program == "-m" and "portable_nn" in sys.orig_argv) or program.endswith(("portable-nn", "portable-nn.exe"))


def _end(*signal: object) -> None:
    os.write(2, b"portable-nn: interrupted\n")
    os._exit(130)  # an exception would be printed by Python, or swallowed by the library that is being imported


def _watch() -> None:
    import signal
    import threading

    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as under nohup
        signal.signal(signal.SIGINT, _end)


if _is_the_command():
    _watch()
