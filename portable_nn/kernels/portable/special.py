"""The error function, which the Array API standard lacks; and two that array-api-compat makes of masks for CuPy.

Its `clip` and `sign` wait for the device then, several times.
"""

from collections.abc import Sequence

from portable_nn.arrays import Array, namespace_of

__all__ = ["cut", "erf", "is_positive", "sign"]

# W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969) 631-637; the coefficients
# for double precision, highest power first. NEAR: erf(x) = x P(x^2) / Q(x^2) for |x| <= 0.46875.
# FAR: 1 - erf(|x|) = exp(-x^2) P(|x|) / Q(|x|) beyond.
_NEAR_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_NEAR_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_FAR_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_FAR_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def cut(x: Array, low: float, high: float) -> Array:
    """Return x with each element cut to [low, high]."""
    xp = namespace_of(x)
    return xp.minimum(xp.maximum(x, low), high)


def sign(x: Array) -> Array:
    """Return 1 where x > 0, -1 where x < 0, and x where it is 0 or NaN."""
    xp = namespace_of(x)
    return xp.where(x > 0, 1.0, xp.where(-x > 0, -1.0, x))


def is_positive(x: Array) -> Array:
    """Return 1 where x > 0, 0 where it is not, and NaN where it is NaN."""
    xp = namespace_of(x)
    return xp.where(x > 0, 1.0, xp.where(x <= 0, 0.0, x))


def erf(x: Array) -> Array:
    """Return the error function of x: 2 / sqrt(pi) times the integral of exp(-u^2) from 0 to x.

    The absolute error is below 1e-15 in float64. Cody's FAR form is made for |x| <= 4; it serves beyond, because
    exp(-x^2) is then below 2e-8 and what it multiplies needs no more than eight digits.
    """
    xp = namespace_of(x)
    near = cut(x, -0.46875, 0.46875)
    square = near * near
    inner = near * _polynomial(square, _NEAR_P) / _polynomial(square, _NEAR_Q)
    size = xp.abs(x)
    far = cut(size, 0.46875, 6.0)  # erf(6) is 1 in float64
    outer = 1.0 - xp.exp(-far * far) * _polynomial(far, _FAR_P) / _polynomial(far, _FAR_Q)
    return xp.where(size <= 0.46875, inner, sign(x) * outer)


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value
