"""What every test finds set up: one BLAS thread, no window for pictures, and the folder with the real MNIST.

With PORTABLE_NN_CUPY=stand-in in the environment, `cupy` is the stand-in of tests/cupy_on_cpu, in subprocesses too.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault(
    "SCIPY_ARRAY_API", "1"
)  # scikit-learn's checks of array libraries ask for it, before SciPy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for libraries that are loaded later, and for subprocesses

collect_ignore = ["cupy_on_cpu/cupy", "cupy_on_cpu/cupyx"]  # imported by their own names alone, or not at all
_STAND_IN = os.environ.get("PORTABLE_NN_CUPY") == "stand-in"
if _STAND_IN:  # before array-api-compat asks whether an array's type is CuPy's, which it remembers
    if "cupy" in sys.modules:
        raise pytest.UsageError("cupy was imported before the stand-in for it could take its place")
    _folder = str(Path(__file__).parent / "cupy_on_cpu")
    sys.path.insert(0, _folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_folder, os.environ.get("PYTHONPATH")]))


_SKIPS_OF_OTHERS = ("PyTorch test requires cuda", "no wheel of CuPy is installed", "the record is of CuPy")
_skipped: list[str] = []


def pytest_report_header() -> list[str]:
    """Tell who CuPy is."""
    return ["cupy (stand-in on the CPU): nothing below is a result of a GPU"] if _STAND_IN else []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what is skipped on the stand-in: it has no reason to skip what runs on a GPU."""
    if _STAND_IN and report.skipped and not hasattr(report, "wasxfail") and "cupy" in report.nodeid.partition("[")[2]:
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(_SKIPS_OF_OTHERS):
            _skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if anything was."""
    if _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Tell both where they are read."""
    for line in [*pytest_report_header(), *(f"SKIPPED ON THE STAND-IN {line}" for line in _skipped)]:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def checked_host_memory() -> Iterator[None]:
    """Where the stand-in is in use, raise HostRaceError if a test rewrote memory that was still to be copied."""
    yield
    if _STAND_IN and (host := sys.modules.get("cupy.cuda._host")):
        host.check()


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Pin the threads of what is loaded already, NumPy above all."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def mnist_folder() -> Path:
    """The folder with the four files of the real MNIST; skips where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "mnist"
    folder = Path(os.environ.get("PORTABLE_NN_MNIST", beside))
    if not folder.is_dir():
        pytest.skip(f"MNIST is not in {folder}; PORTABLE_NN_MNIST names its folder")
    return folder
