"""Activations and what runs beside them: a bias before, column sums behind; dropout; and batches."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["ACTIVATIONS", "ELEMENTWISE", "MIXED"]


class Activation(NamedTuple):
    """An activation: y as an expression of x, and dx as one of dy and of x or y, whichever is `kept`."""

    value: str
    kept: str
    gradient: str
    numbers: tuple[str, ...] = ()


ACTIVATIONS = {
    "relu": Activation("x > 0 || x != x ? x : real(0)", "y", "y > 0 ? dy : real(0)"),
    "leaky_relu": Activation(
        "x > 0 ? x : real(slope) * x", "x", "x > 0 ? dy : real(slope) * dy", numbers=("double slope",)
    ),
    "sigmoid": Activation("sigmoid_of(x)", "y", "dy * y * (1 - y)"),
    "tanh": Activation("tanh(x)", "y", "dy * (1 - y * y)"),
    "softplus": Activation("softplus_of(x)", "x", "dy * sigmoid_of(x)"),
    "elu": Activation(
        "x > 0 ? x : real(alpha) * expm1(x)",
        "x",
        "dy * (x > 0 ? real(1) : real(alpha) * exp(x))",
        numbers=("double alpha",),
    ),
    "silu": Activation("x * sigmoid_of(x)", "x", "dy * sigmoid_of(x) * (1 + x * (1 - sigmoid_of(x)))"),
    "gelu": Activation("gelu_of(x)", "x", "dy * gelu_slope_of(x)"),
    "gelu_tanh": Activation("x * gate_of(x)", "x", "dy * gate_slope_of(x)"),
    "selu": Activation(
        "x > 0 ? real(1.0507009873554804934) * x : real(1.7580993408473768599) * expm1(x)",
        "x",
        "dy * (x > 0 ? real(1.0507009873554804934) : real(1.7580993408473768599) * exp(x))",
    ),
    "celu": Activation(
        "x > 0 ? x : real(alpha) * expm1(x / real(alpha))",
        "x",
        "dy * (x > 0 ? real(1) : exp(x / real(alpha)))",
        numbers=("double alpha",),
    ),
    "mish": Activation("x * tanh_of_softplus(x)", "x", "dy * mish_slope_of(x)"),
    "softsign": Activation("x / (1 + fabs(x))", "x", "dy / (1 + fabs(x)) / (1 + fabs(x))"),
    "hard_tanh": Activation(
        "clipped(x, real(low), real(high))",
        "y",
        "y > real(low) && y < real(high) ? dy : real(0)",
        numbers=("double low", "double high"),
    ),
    "hard_sigmoid": Activation("clipped(x + 3, real(0), real(6)) / 6", "y", "y > 0 && y < 1 ? dy / 6 : real(0)"),
    "hard_swish": Activation(
        "x * (clipped(x + 3, real(0), real(6)) / 6)",
        "x",
        "dy * (x >= 3 ? real(1) : x > -3 ? (x + real(1.5)) / 3 : real(0))",
    ),
}
"""The activations of `kernels/portable`, element by element, by name."""

_VALUE = """
extern "C" __global__ void kernel_NAME(const real* xs, real* ys, integer size NUMBERS)
{
    EACH(i, x, size) {
        real x = xs[i];
        ys[i] = VALUE;
    }
}
"""

_GRADIENT = """
extern "C" __global__ void kernel_NAME(const real* dys, const real* kept, real* dxs, integer size NUMBERS)
{
    EACH(i, x, size) {
        real dy = dys[i], KEPT = kept[i];
        dxs[i] = GRADIENT;
    }
}
"""

_BIASED_VALUE = """
extern "C" __global__ void kernel_NAME(real* ys, const real* b, integer rows, integer columns NUMBERS)
{
    EACH(column, x, columns) {
        real bias = b[column];
        EACH(row, y, rows) {
            real x = ys[row * columns + column] + bias;
            ys[row * columns + column] = VALUE;
        }
    }
}
"""

# The blocks above one another share their columns, and have a ticket each; of `partials` each of them has one row.
_COLUMN_SUMS = """
extern "C" __global__ void kernel_NAME(
    ARRAYS, real* sums, real* partials, unsigned* tickets, integer rows, integer columns NUMBERS)
{
    integer column = (integer)blockIdx.x * blockDim.x + threadIdx.x;
    real sum = 0;
    if (column < columns)
        EACH(row, y, rows) {
            integer i = row * columns + column;
            TERM
        }
    sum = sum_in_column(sum);
    if (gridDim.y > 1) {
        if (threadIdx.y == 0 && column < columns)
            partials[blockIdx.y * columns + column] = sum;
        if (!is_last(tickets + blockIdx.x, gridDim.y))
            return;
        sum = 0;
        if (column < columns)
            for (unsigned block = threadIdx.y; block < gridDim.y; block += blockDim.y)
                sum += partials[block * columns + column];
        sum = sum_in_column(sum);
    }
    if (threadIdx.y == 0 && column < columns)
        sums[column] = sum;
}
"""

# Word for word what `kernels/portable/dropout.py` does, with the wrapping arithmetic of unsigned numbers. The width
# is that of a row.
MIXED = """
__device__ unsigned mixed(unsigned h)
{
    h = (h ^ (h >> 16)) * 0x7FEB352Du;
    h = (h ^ (h >> 15)) * 0x846CA68Bu;
    return h ^ (h >> 16);
}

__device__ unsigned mask_bits(integer i, integer width, integer first, integer key0, integer key1, integer layer)
{
    integer row = i >> 32 ? i / width : (unsigned)i / (unsigned)width;  // of 64 bits it takes many times as long
    unsigned bits = mixed(mixed((unsigned)(first + row) ^ (unsigned)key0) ^ (unsigned)layer);
    return mixed(bits + mixed((unsigned)(i - row * width) ^ (unsigned)key1)) >> 8;
}
"""

_DROPOUT_MASK = """
extern "C" __global__ void kernel_dropout_mask(
    real* mask, integer size, integer width, integer first, integer key0, integer key1, integer layer, integer least,
    double kept)
{
    EACH(i, x, size)
        mask[i] = mask_bits(i, width, first, key0, key1, layer) >= least ? real(kept) : real(0);
}
"""

# Two uniform numbers of 24 bits, the second from the mirror image of the place, and of them a normal one.
_GAUSSIAN_NOISE = """
extern "C" __global__ void kernel_gaussian_noise(
    const real* xs, real* ys, integer size, integer width, integer first, integer key0, integer key1, integer layer,
    double std)
{
    EACH(i, x, size) {
        integer row = i >> 32 ? i / width : (unsigned)i / (unsigned)width;
        unsigned line = mixed(mixed((unsigned)(first + row) ^ (unsigned)key0) ^ (unsigned)layer);
        unsigned place = (unsigned)(i - row * width);
        real u = real((mixed(line + mixed(place ^ (unsigned)key1)) >> 8) + 1) / 16777216;
        real v = real(mixed(line + mixed(~place ^ (unsigned)key1)) >> 8) / 16777216;
        ys[i] = xs[i] + real(std) * (sqrt(-2 * log(u)) * cos(real(6.28318530717958647693) * v));
    }
}
"""

# Up to three arrays of real numbers and one of integers; a width is that of a row.
_GATHER = """
extern "C" __global__ void kernel_gather(
    const integer* indices, integer rows, const real* as, real* a_rows_or_null, integer a_width,
    const real* bs, real* b_rows_or_null, integer b_width, const real* cs, real* c_rows_or_null, integer c_width,
    const integer* ks, integer* k_rows_or_null, integer k_width)
{
    EACH(row, y, rows) {
        integer from = indices[row];
        EACH(i, x, a_width) a_rows_or_null[row * a_width + i] = as[from * a_width + i];
        EACH(i, x, b_width) b_rows_or_null[row * b_width + i] = bs[from * b_width + i];
        EACH(i, x, c_width) c_rows_or_null[row * c_width + i] = cs[from * c_width + i];
        EACH(i, x, k_width) k_rows_or_null[row * k_width + i] = ks[from * k_width + i];
    }
}
"""


def _filled(template: str, **words: str) -> str:
    """Return `template` with each of `words`, in capitals, replaced by what it stands for."""
    for word, text in words.items():
        template = template.replace(word.upper(), text)
    return template


def summed_by_column(name: str, arrays: str, term: str, numbers: Sequence[str]) -> str:
    """Return the text of a kernel that sums up columns: what `term` adds to `sum` at the place i, in a row of these."""
    numbers = "".join(f", {number}" for number in numbers)
    return _filled(_COLUMN_SUMS, name=name, arrays=arrays, term=term, numbers=numbers)


def _activation_kernels(name: str, activation: Activation) -> dict[str, str]:
    value, kept, gradient, numbers = activation
    numbers = "".join(f", {number}" for number in numbers)
    dy = "factors ? dys[i] * factors[i] : dys[i]"
    term = f"real dy = {dy}, {kept} = kept[i], dx = {gradient};\n            dxs[i] = dx;\n            sum += dx;"
    arrays = "const real* dys, const real* factors, const real* kept, real* dxs"
    sums = f"{name}_gradient_and_sums"
    return {
        name: _filled(_VALUE, name=name, value=value, numbers=numbers),
        f"affine_{name}": _filled(_BIASED_VALUE, name=f"affine_{name}", value=value, numbers=numbers),
        f"{name}_gradient": _filled(_GRADIENT, name=f"{name}_gradient", kept=kept, gradient=gradient, numbers=numbers),
        sums: _filled(_COLUMN_SUMS, name=sums, arrays=arrays, term=term, numbers=numbers),
    }


def _elementwise() -> dict[str, str]:
    kernels = {
        "affine": _filled(_BIASED_VALUE, name="affine", value="x", numbers=""),
        "column_sums": _filled(
            _COLUMN_SUMS, name="column_sums", arrays="const real* dys", term="sum += dys[i];", numbers=""
        ),
        "dropout_mask": MIXED + _DROPOUT_MASK,
        "gaussian_noise": _GAUSSIAN_NOISE,
        "gather": _GATHER,
    }
    for name, activation in ACTIVATIONS.items():
        kernels |= _activation_kernels(name, activation)
    return kernels


ELEMENTWISE = _elementwise()
"""The text of each kernel by its name."""
