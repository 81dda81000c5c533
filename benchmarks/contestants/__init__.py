"""Who takes part: one file each, with `prepare(workload, *arguments)`, which returns a `Runner`.

A file is imported only in the process of its contestant.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["CONTESTANTS", "Contestant", "Runner"]


class Runner(Protocol):
    """A workload, ready to be run by one contestant, from the initial weights on."""

    stride: int
    """Steps are taken in multiples of this."""

    def run(self, steps: int) -> None:
        """Take `steps` steps and wait until all is computed."""
        ...

    def curve(self, steps: int) -> list[float]:
        """Take the first steps, before any `run`; return what all contestants must agree on.

        In training, the loss of each step; in predicting, the spread of each step's outputs; [] if there is nothing.
        """
        ...


@dataclass(frozen=True)
class Contestant:
    """How one contestant is called, prepared and compared.

    Attributes
    ----------
    label : str
        Its name in tables.
    kind : "ours", "peer", "limit" or "epochs"
        The last are ours too: whole epochs, with `Trainer.fit` and without.
    module : str
        The file in this folder.
    arguments : tuple of str
        What `prepare` takes beside the workload.
    environment : mapping
        Variables that are set in its process before anything is imported.
    """

    label: str
    kind: Literal["ours", "peer", "limit", "epochs"]
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return "cuda" in self.arguments or "cupy" in self.arguments or self.module == "torch_graph"

    def prepare(self, workload: Any) -> Runner:
        """Return the workload's runner; ImportError or BackendError if what it needs is missing."""
        return importlib.import_module(f"{__name__}.{self.module}").prepare(workload, *self.arguments)

    def takes(self, workload: Any) -> bool:
        """Tell whether the workload is one for this contestant."""
        return workload.epochs == (self.kind == "epochs")


_JAX_CPU = {"JAX_PLATFORMS": "cpu"}
_JAX_GPU = {
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",  # float32, as all others compute in
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # it would take three quarters of the memory from the others
}
_MKL, _NO_MKL = {"PORTABLE_NN_MKL": "1"}, {"PORTABLE_NN_MKL": "0"}

CONTESTANTS = {
    "ours-numpy": Contestant("ours (NumPy)", "ours", "ours", ("numpy",), _NO_MKL),
    "ours-numba": Contestant("ours (NumPy, numba)", "ours", "ours", ("numpy", "compiled"), _NO_MKL),
    "ours-mkl": Contestant("ours (NumPy, numba, MKL)", "ours", "ours", ("numpy", "compiled, with MKL"), _MKL),
    "ours-torch": Contestant("ours (PyTorch)", "ours", "ours", ("torch",)),
    "ours-jax": Contestant("ours (JAX)", "ours", "ours", ("jax",), _JAX_CPU),
    "ours-cupy": Contestant("ours (CuPy)", "ours", "ours", ("cupy",)),
    "ours-torch-gpu": Contestant("ours (PyTorch, GPU)", "ours", "ours", ("torch", "plain", "cuda")),
    "ours-jax-gpu": Contestant("ours (JAX, GPU)", "ours", "ours", ("jax", "plain", "cuda"), _JAX_GPU),
    "torch": Contestant("PyTorch eager", "peer", "torch_eager"),
    "torch-compile": Contestant("torch.compile", "peer", "torch_compile"),
    "jax": Contestant("JAX jit", "peer", "jax_step", ("one",), _JAX_CPU),
    "jax-scan": Contestant("JAX scan", "peer", "jax_step", ("many",), _JAX_CPU),
    "torch-gpu": Contestant("PyTorch eager, GPU", "peer", "torch_eager", ("cuda",)),
    "torch-compile-gpu": Contestant("torch.compile, GPU", "peer", "torch_compile", ("cuda",)),
    "torch-graph-gpu": Contestant("PyTorch, CUDA graph", "peer", "torch_graph"),
    "jax-gpu": Contestant("JAX jit, GPU", "peer", "jax_step", ("one", "cuda"), _JAX_GPU),
    "jax-scan-gpu": Contestant("JAX scan, GPU", "peer", "jax_step", ("many", "cuda"), _JAX_GPU),
    "sklearn": Contestant("scikit-learn", "peer", "sklearn"),
    "keras": Contestant("Keras", "peer", "keras"),
    "notes": Contestant("plain NumPy", "peer", "notes"),
    "limit": Contestant("limit", "limit", "limit"),
    "fit": Contestant("Trainer.fit", "epochs", "epochs", ("fit",)),
    "steps": Contestant("bare steps", "epochs", "epochs", ("steps",)),
}
