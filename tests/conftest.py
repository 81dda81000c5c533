"""What every test finds set up: one BLAS thread, no window for pictures, and the folder with the real MNIST."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault(
    "SCIPY_ARRAY_API", "1"
)  # scikit-learn's checks of array libraries ask for it, before SciPy is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for libraries that are loaded later, and for subprocesses


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
