"""Losses and their gradients, as `kernels/portable/losses_of_*.py` define them; loss, gradient and sums are one launch.

A scale is `factor`, and where `scales` is no null pointer, also that of each `portion` elements: of a sample, or one.
To ys (N, O) a bias b (O,) is added first; the gradient is written to dys, which may be ys, and its sums over the batch
to sums. Arrays that are read may be left out as null pointers, and results whose name says so. Each block has its share
of the rows.
"""

from typing import NamedTuple

__all__ = ["ERRORS", "LOSSES"]


class Error(NamedTuple):
    """A loss element by element: its value, and the slope by y, as expressions of y and t.

    Of numbers that are arrays, each stands for `inner` elements, and after `count` of them the first comes again.
    """

    value: str
    slope: str
    numbers: tuple[str, ...] = ()


_FOCAL = "y, t, real(gamma), real(yes), real(no)"
_POSITIVE = "(positives ? positives[i / inner % count] : real(1))"
_QUANTILE = "quantiles[i / inner % count]"

ERRORS = {
    "absolute_error": Error("fabs(y - t)", "sign_of(y - t)"),
    "huber_error": Error(
        "core_of(fabs(y - t), real(delta)) * (fabs(y - t) - real(0.5) * core_of(fabs(y - t), real(delta)))",
        "sign_of(y - t) * core_of(fabs(y - t), real(delta))",
        numbers=("double delta",),
    ),
    "poisson_error": Error("exp(y) - t + t * (log(t > 0 ? t : real(1)) - y)", "exp(y) - t"),
    "hinge_loss": Error("positive_of(1 - t * y)", "-t * is_positive(1 - t * y)"),
    "log_cosh_error": Error("log_cosh_of(y - t)", "tanh(y - t)"),
    "quantile_error": Error(
        f"pinball_of(y - t, {_QUANTILE})",
        f"pinball_slope_of(y - t, {_QUANTILE})",
        numbers=("integer inner", "integer count", "const real* quantiles"),
    ),
    "sigmoid_focal_loss": Error(
        f"focal_loss_of({_FOCAL})", f"focal_slope_of({_FOCAL})", numbers=("double gamma", "double yes", "double no")
    ),
    "sigmoid_loss": Error(
        f"cross_entropy_of(y, t, {_POSITIVE})",
        f"positives ? (1 - t) * sigmoid_of(y) - {_POSITIVE} * t * sigmoid_of(-y) : sigmoid_of(y) - t",
        numbers=("integer inner", "integer count", "const real* positives"),
    ),
    "squared_error": Error("(y - t) * (y - t)", "2 * (y - t)"),
    "squared_hinge_loss": Error("positive_of(1 - t * y) * positive_of(1 - t * y)", "-2 * t * positive_of(1 - t * y)"),
}
"""The losses of `kernels/portable/losses_of_*.py` that compare element by element, by name."""

_ERROR = """
extern "C" __global__ void kernel_NAME(
    const real* ys, const real* b, const real* ts, real* dys_or_null, real* sums_or_null,
    real* loss, real* partials, unsigned* ticket,
    integer size, integer width, integer share, integer portion, double factor, const real* scales NUMBERS)
{
    integer begin = blockIdx.x * share, end = begin + share < size ? begin + share : size;
    real sum = 0;
    for (integer i = begin + thread_number(); i < end; i += THREADS) {
        real y = b ? ys[i] + b[i % width] : ys[i], t = ts[i];
        real scale = scales ? scales[i / portion] : real(1);
        sum += scale * (VALUE);
        if (dys_or_null)
            dys_or_null[i] = real(factor) * scale * (SLOPE);
    }
    integer rows = begin < end ? (end - begin) / width : 0;
    add_up(sum, factor, loss, dys_or_null + begin, rows, width, sums_or_null, partials, ticket);
}
"""

# `douts` is null or a single number, the derivative by the loss where it is known to the device alone.
_ERROR_GRADIENT = """
extern "C" __global__ void kernel_NAME_gradient(
    const real* ys, const real* ts, real* dys,
    integer size, integer portion, double factor, const real* scales, const real* douts NUMBERS)
{
    real scale = douts ? real(factor) * *douts : real(factor);
    EACH(i, x, size) {
        real y = ys[i], t = ts[i];
        dys[i] = (scales ? scale * scales[i / portion] : scale) * (SLOPE);
    }
}
"""

# One row of threads to a row of outputs: its maximum, its sums, then loss and gradient. Targets are labels, of which
# negative ones count nothing, or distributions where `labels` is null. All threads stay in step, also those that have
# no row.
_SOFTMAX_LOSS = """
extern "C" __global__ void kernel_softmax_loss(
    const real* ys, const real* b, const integer* labels, const real* targets, real* dys, real* sums_or_null,
    real* loss, real* partials, unsigned* ticket,
    integer rows, integer columns, integer share, double kept, double spread,
    double factor, const real* scales, const real* weights)
{
    integer begin = blockIdx.x * share, end = begin + share < rows ? begin + share : rows;
    real sum = 0;
    for (integer first = begin; first < end; first += blockDim.y) {
        integer row = first + threadIdx.y, start = row * columns, width = row < end ? columns : 0;
        real largest = width > 0 ? biased(ys, b, start, 0) : real(0);
        for (integer c = threadIdx.x; c < width; c += blockDim.x)
            largest = Largest()(biased(ys, b, start, c), largest);
        largest = joined_in_row(Largest(), largest);

        real exponentials = 0, mass = 0;
        for (integer c = threadIdx.x; c < width; c += blockDim.x) {
            exponentials += exp(biased(ys, b, start, c) - largest);
            mass += target(c, row, start, labels, targets, kept, spread, weights);
        }
        real logarithm = log(joined_in_row(Sum(), exponentials));
        mass = joined_in_row(Sum(), mass);

        real scale = width > 0 && scales ? scales[row] : real(1);
        for (integer c = threadIdx.x; c < width; c += blockDim.x) {
            real log_p = biased(ys, b, start, c) - largest - logarithm;
            real q = target(c, row, start, labels, targets, kept, spread, weights);
            if (q > 0)
                sum -= scale * (q * log_p);
            dys[start + c] = real(factor) * scale * (exp(log_p) * mass - q);
        }
    }
    add_up(sum, factor, loss, dys + begin * columns, end - begin, columns, sums_or_null, partials, ticket);
}
"""

_BIASED = """
__device__ real biased(const real* ys, const real* b, integer start, integer c)
{
    return b ? ys[start + c] + b[c] : ys[start + c];
}
"""

_TARGET = """
__device__ real target(
    integer c, integer row, integer start, const integer* labels, const real* targets,
    double kept, double spread, const real* weights)
{
    if (labels && labels[row] < 0)
        return 0;
    real q = labels ? real(c == labels[row]) : targets[start + c];
    q = real(kept) * q + real(spread);
    return weights ? q * weights[c] : q;
}
"""

# What a mean divides by is summed up in every block anew, of which there are few.
_MEAN_SCALE = """
extern "C" __global__ void kernel_mean_scale(
    const real* weights, const real* totals, real* scales, integer size, double factor)
{
    real sum = 0;
    for (integer i = thread_number(); i < size; i += THREADS)
        sum += totals[i];
    sum = sum_in_block(sum);
    EACH(i, x, size) scales[i] = real(factor) * ((weights ? weights[i] : real(1)) / (sum == 0 ? real(1) : sum));
}
"""

_SHARE = """
__device__ real share_of(
    integer row, const integer* labels, const real* targets, const real* weights, const real* scales, integer columns)
{
    real share = 0;
    if (!labels)
        for (integer c = 0; c < columns; c++)
            share += targets[row * columns + c] * weights[c];
    else if (labels[row] >= 0 && labels[row] < columns)
        share = weights[labels[row]];
    return scales ? scales[row] * share : share;
}
"""

_CLASS_SHARE = """
extern "C" __global__ void kernel_class_share(
    const integer* labels, const real* targets, const real* weights, const real* scales, real* shares,
    integer rows, integer columns)
{
    EACH(row, x, rows) shares[row] = share_of(row, labels, targets, weights, scales, columns);
}
"""

_CLASS_TOTAL = """
extern "C" __global__ void kernel_class_total(
    const integer* labels, const real* targets, const real* weights, const real* scales,
    real* total, real* partials, unsigned* ticket, integer rows, integer columns)
{
    real sum = 0;
    EACH(row, x, rows) sum += share_of(row, labels, targets, weights, scales, columns);
    add_up(sum, 1.0, total, nullptr, 0, 0, nullptr, partials, ticket);
}
"""

_TOTAL = """
extern "C" __global__ void kernel_total(
    const real* values, real* total, real* partials, unsigned* ticket, integer size, double factor)
{
    real sum = 0;
    EACH(i, x, size) sum += values[i];
    add_up(sum, factor, total, nullptr, 0, 0, nullptr, partials, ticket);
}
"""


def _error_kernels(name: str, error: Error) -> dict[str, str]:
    numbers = "".join(f", {number}" for number in error.numbers)
    return {
        full: text.replace("NAME", name)
        .replace("VALUE", error.value)
        .replace("SLOPE", error.slope)
        .replace(" NUMBERS", numbers)
        for full, text in {name: _ERROR, f"{name}_gradient": _ERROR_GRADIENT}.items()
    }


LOSSES = {
    "class_share": _SHARE + _CLASS_SHARE,
    "class_total": _CLASS_TOTAL,
    "mean_scale": _MEAN_SCALE,
    "softmax_loss": _TARGET + _BIASED + _SOFTMAX_LOSS,
    "total": _TOTAL,
    **{kernel: text for name, error in ERRORS.items() for kernel, text in _error_kernels(name, error).items()},
}
"""The text of each kernel by its name."""
