"""The process of one contestant: `python -m benchmarks.worker CONTESTANT THREADS`.

It reads one command a line from stdin, and answers each with one line of JSON on stdout:

    prepare WORKLOAD STEPS    {"curve": [...]}: the workload is ready; the first losses, before anything is timed
    time SECONDS              {"seconds": ...}: of one step, over about as many seconds of them
    memory                    {"peak": ...}: bytes, of a training step on NumPy; needs a process of its own

Instead it answers {"missing": "..."} if something is not installed, {"unable": "..."} if the contestant cannot do the
workload, and {"error": "..."} if anything else goes wrong.
"""

import json
import math
import os
import sys
import time
from typing import Any

__all__ = ["main", "pin"]

_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def pin(threads: int) -> None:
    """Keep this process to as many threads and cores, before anything that has threads is imported."""
    os.environ.update(dict.fromkeys(_VARIABLES, str(threads)))
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):  # the last cores: the first one serves interrupts
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


class Worker:
    """Answers commands."""

    def __init__(self, name: str, threads: int):
        from benchmarks.contestants import CONTESTANTS

        self.contestant, self.threads = CONTESTANTS[name], threads
        os.environ.update(self.contestant.environment)
        self.runner: Any = None
        self.steps = 0

    def prepare(self, name: str, steps: str) -> dict[str, Any]:
        """Prepare a workload."""
        from benchmarks.workloads import WORKLOADS

        self.runner, self.steps = None, 0  # what was there makes room
        self.runner = self.contestant.prepare(WORKLOADS[name])
        self._pin_torch()
        return {"curve": self.runner.curve(int(steps))}

    def time(self, seconds: str) -> dict[str, Any]:
        """Time steps, after some that are not timed."""
        if not self.steps:
            self._calibrate(float(seconds))
        self.runner.run(self._whole(self.steps / 10))
        return {"seconds": self._seconds(self.steps) / self.steps}

    def memory(self) -> dict[str, Any]:
        """Measure the memory of training steps."""
        from benchmarks.footprint import memory

        return memory()

    def _calibrate(self, seconds: float) -> None:
        """Find the number of steps that take as long."""
        self.steps = self.runner.stride
        self._seconds(self.steps)
        while (taken := self._seconds(self.steps)) < 0.8 * seconds:
            self.steps = self._whole(self.steps * min(10.0, seconds / taken))

    def _seconds(self, steps: int) -> float:
        started = time.perf_counter()
        self.runner.run(steps)
        return time.perf_counter() - started

    def _whole(self, steps: float) -> int:
        """Return the next possible number of steps."""
        return max(1, math.ceil(steps / self.runner.stride)) * self.runner.stride

    def _pin_torch(self) -> None:
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(self.threads)


def main(name: str, threads: int) -> None:
    """Answer commands until stdin ends."""
    pin(threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    worker = Worker(name, threads)
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer = getattr(worker, command)(*arguments)
        except ImportError as error:
            answer = {"missing": str(error)}
        except NotImplementedError as error:
            answer = {"unable": str(error)}
        except Exception as error:  # each library raises its own
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
