"""Losses and their gradients, as `kernels/portable/losses.py` defines them; the loss and its sum are one launch.

A scale is `factor`, and `scales` of each sample where it is no null pointer.
"""

__all__ = ["LOSSES"]

_ERROR = """
extern "C" __global__ void kernel_NAME(
    const real* ys, const real* ts, real* loss, real* partials, unsigned* ticket,
    integer size, integer width, double factor, const real* scales)
{
    real sum = 0;
    EACH(i, x, size) {
        real y = ys[i], t = ts[i], error = ERROR;
        sum += scales ? scales[i / width] * error : error;
    }
    add_up(sum, factor, loss, partials, ticket);
}
"""

# `douts` is null or a single number, the derivative by the loss where it is known to the device alone.
_ERROR_GRADIENT = """
extern "C" __global__ void kernel_NAME_gradient(
    const real* ys, const real* ts, real* dys,
    integer size, integer width, double factor, const real* scales, const real* douts)
{
    real scale = douts ? real(factor) * *douts : real(factor);
    EACH(i, x, size) {
        real y = ys[i], t = ts[i];
        dys[i] = (scales ? scale * scales[i / width] : scale) * (SLOPE);
    }
}
"""

# One row of threads to a row of outputs: its maximum, its sums, then loss and gradient. Targets are labels, or
# distributions where `labels` is null. All threads stay in step, also those that have no row.
_SOFTMAX_LOSS = """
extern "C" __global__ void kernel_softmax_loss(
    const real* ys, const integer* labels, const real* targets, real* dys,
    real* loss, real* partials, unsigned* ticket,
    integer rows, integer columns, double kept, double spread,
    double factor, const real* scales, const real* weights)
{
    real sum = 0;
    for (integer first = (integer)blockIdx.x * blockDim.y; first < rows; first += (integer)gridDim.x * blockDim.y) {
        integer row = first + threadIdx.y, start = row * columns, width = row < rows ? columns : 0;
        real largest = width > 0 ? ys[start] : real(0);
        for (integer c = threadIdx.x; c < width; c += blockDim.x)
            largest = Largest()(ys[start + c], largest);
        largest = joined_in_row(Largest(), largest);

        real exponentials = 0, share = 0;
        for (integer c = threadIdx.x; c < width; c += blockDim.x) {
            exponentials += exp(ys[start + c] - largest);
            share += target(c, row, start, labels, targets, kept, spread, weights);
        }
        real logarithm = log(joined_in_row(Sum(), exponentials));
        share = joined_in_row(Sum(), share);

        real scale = width > 0 && scales ? scales[row] : real(1);
        for (integer c = threadIdx.x; c < width; c += blockDim.x) {
            real log_p = ys[start + c] - largest - logarithm;
            real q = target(c, row, start, labels, targets, kept, spread, weights);
            if (q > 0)
                sum -= scale * (q * log_p);
            dys[start + c] = real(factor) * scale * (exp(log_p) * share - q);
        }
    }
    add_up(sum, factor, loss, partials, ticket);
}
"""

_TARGET = """
__device__ real target(
    integer c, integer row, integer start, const integer* labels, const real* targets,
    double kept, double spread, const real* weights)
{
    real q = labels ? real(c == labels[row]) : targets[start + c];
    q = real(kept) * q + real(spread);
    return weights ? q * weights[c] : q;
}
"""


def _error_kernels(name: str, error: str, slope: str) -> dict[str, str]:
    return {
        name: _ERROR.replace("NAME", name).replace("ERROR", error),
        f"{name}_gradient": _ERROR_GRADIENT.replace("NAME", name).replace("SLOPE", slope),
    }


LOSSES = {
    "softmax_loss": _TARGET + _SOFTMAX_LOSS,
    **_error_kernels("sigmoid_loss", "cross_entropy_of(y, t)", "sigmoid_of(y) - t"),
    **_error_kernels("squared_error", "(y - t) * (y - t)", "2 * (y - t)"),
}
"""The text of each kernel by its name."""
