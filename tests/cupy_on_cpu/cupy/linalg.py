"""Linear algebra: NumPy's results, and NaN for LinAlgError, because nothing on a GPU raises it."""

import numpy as _numpy  # noqa: ICN001  (CuPy has no name `np` of its own)

from cupy import _work

LinAlgError = _numpy.linalg.LinAlgError


def _solved(function, *arguments):
    """Return what NumPy's function gives, as new arrays; NaN, in the shape of the last array, where it has nothing."""
    values = [each._values if _work.is_array(each) else each for each in arguments]
    try:
        found = function(*values)
    except LinAlgError:
        found = _numpy.full_like([value for value in values if isinstance(value, _numpy.ndarray)][-1], _numpy.nan)
    name = f"cusolver_{function.__name__}"
    if not isinstance(found, tuple):
        return _work.made(name, found, arguments)
    parts = [_work.made(name, part, arguments) for part in found]
    return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)


def cholesky(a):
    """Return the lower triangular factor."""
    return _solved(_numpy.linalg.cholesky, _work.array(a))


def det(a):
    """Return determinants."""
    return _solved(_numpy.linalg.det, _work.array(a))


def slogdet(a):
    """Return signs and logarithms of determinants."""
    return _solved(_numpy.linalg.slogdet, _work.array(a))


def inv(a):
    """Return inverses."""
    return _solved(_numpy.linalg.inv, _work.array(a))


def solve(a, b):
    """Return solutions."""
    return _solved(_numpy.linalg.solve, _work.array(a), _work.array(b, "b"))


def lstsq(a, b, rcond=None):
    """Return least-squares solutions."""
    return _solved(_numpy.linalg.lstsq, _work.array(a), _work.array(b, "b"), rcond)


def pinv(a, rcond=1e-15):
    """Return pseudo-inverses."""
    return _solved(_numpy.linalg.pinv, _work.array(a), rcond)


def qr(a, mode="reduced"):
    """Return an orthogonal and a triangular factor."""
    return _solved(_numpy.linalg.qr, _work.array(a), mode)


def svd(a, full_matrices=True, compute_uv=True):
    """Return singular values and vectors."""
    return _solved(_numpy.linalg.svd, _work.array(a), full_matrices, compute_uv)


def eigh(a, UPLO="L"):
    """Return eigenvalues and eigenvectors of symmetric matrices."""
    return _solved(_numpy.linalg.eigh, _work.array(a), UPLO)


def eigvalsh(a, UPLO="L"):
    """Return eigenvalues of symmetric matrices."""
    return _solved(_numpy.linalg.eigvalsh, _work.array(a), UPLO)


def norm(x, ord=None, axis=None, keepdims=False):
    """Return norms."""
    return _solved(_numpy.linalg.norm, _work.array(x), ord, axis, keepdims)


def matrix_power(M, n):
    """Return powers of matrices."""
    return _solved(_numpy.linalg.matrix_power, _work.array(M), n)


def matrix_rank(M, tol=None):
    """Return ranks."""
    return _solved(_numpy.linalg.matrix_rank, _work.array(M), tol)
