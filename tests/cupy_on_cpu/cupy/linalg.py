"""Linear algebra: NumPy's results, and NaN for LinAlgError, because nothing on a GPU raises it."""

import numpy as np

from cupy import _work

LinAlgError = np.linalg.LinAlgError


def _solver(name):
    function = getattr(np.linalg, name)

    def solver(a, *arguments, **options):
        values = [each._values if _work.is_array(each) else each for each in (_work.array(a), *arguments)]
        with np.errstate(all="ignore"):
            found = function(*values, **options)
        reads = [a, *arguments]
        if isinstance(found, tuple):
            return (
                type(found)(*(_work.made(f"cusolver_{name}", each, reads) for each in found))
                if hasattr(found, "_fields")
                else tuple(_work.made(f"cusolver_{name}", each, reads) for each in found)
            )
        return _work.made(f"cusolver_{name}", found, reads)

    solver.__name__ = name
    return solver


cholesky, det, eigh, eigvalsh, inv, lstsq = map(_solver, ("cholesky", "det", "eigh", "eigvalsh", "inv", "lstsq"))
matrix_power, matrix_rank, norm, pinv, qr = map(_solver, ("matrix_power", "matrix_rank", "norm", "pinv", "qr"))
slogdet, solve, svd = map(_solver, ("slogdet", "solve", "svd"))
