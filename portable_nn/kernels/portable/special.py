"""Mills' ratio, as the Array API standard lacks the error function; and what array-api-compat makes of masks for CuPy.

Its `clip` and `sign` wait for the device then, several times.
"""

from portable_nn.arrays import Array, namespace_of

__all__ = ["cut", "is_positive", "mills_ratio", "sign"]

# (1 + x) M(x) as a polynomial in (x - 5) / (x + 5), M being Mills' ratio, the highest power first: its expansion in
# Chebyshev's polynomials, cut where 2e-17 is left, and computed in 40 digits.
_MILLS = (
    -9.564832934712551e-10,
    -7.073898575561589e-10,
    1.1032071151574338e-08,
    9.092476134019147e-09,
    -7.758520236786343e-08,
    -6.588974491108954e-08,
    4.91996233147834e-07,
    3.2054316652589574e-07,
    -3.277287633208865e-06,
    -1.7633239265736746e-07,
    2.270961270923768e-05,
    -2.480583845192319e-05,
    -0.0001343742785571135,
    0.00045704392357953655,
    1.9530638370790786e-05,
    -0.004201290329187307,
    0.01634823128102938,
    -0.03802659218584139,
    0.0615050458401865,
    -0.0661776007790963,
    0.0250721793016388,
    0.07778159886873769,
    -0.22948753825211315,
    1.1568486282918946,
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


def mills_ratio(x: Array) -> Array:
    """Return (1 - Phi(x)) / phi(x) for x from 0 to 1e30, Phi being the normal distribution function, phi the density.

    The same as sqrt(pi / 2) erfcx(x / sqrt(2)). The relative error is below 1e-15 in float64, however large x is; what
    is left of 1 - Phi(x) where it vanishes is this times phi(x). Source of the form: Shepherd and Laframboise,
    Chebyshev approximation of (1 + 2 x) exp(x^2) erfc x in 0 <= x < infinity, Math. Comp. 36 (1981) 249-253.
    """
    place = (x - 5.0) / (x + 5.0)
    value = _MILLS[0] * place + _MILLS[1]
    for coefficient in _MILLS[2:]:
        value = value * place + coefficient
    return value / (1.0 + x)
