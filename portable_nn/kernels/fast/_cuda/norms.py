"""Normalization, as `kernels/portable/normalization.py`, `layer_norm.py` and `group_norm.py` have it.

What is normalized together is a unit: a channel of the batch, a row, or a group of a sample. There are `units` of
`size` numbers. Those of one lie in runs of `length`, `jump` apart; the first ones of two units lie `stride` apart.
Units of `kinds` follow one another again and again, and `inner` numbers of one after the other share a gamma.
"""

__all__ = ["NORMS"]

_PLACE = """
__device__ integer place_of(integer unit, integer i, integer stride, integer length, integer jump)
{
    return unit * stride + i / length * jump + i % length;
}
"""

# One row of threads to a unit. Means in two passes, as rounding leaves much of one that is far from 0; without centers
# none is taken. All threads stay in step, also those that have no unit.
_NORMALIZATION = """
extern "C" __global__ void kernel_normalization(
    const real* xs, const real* gammas, const real* betas_or_null, real* ys, real* centers_or_null, real* inverses,
    const real* means_or_null, const real* variances_or_null, real* new_means_or_null, real* new_variances_or_null,
    integer units, integer size, integer stride, integer length, integer jump, integer kinds, integer inner,
    double epsilon, double momentum)
{
    for (integer first = (integer)blockIdx.x * blockDim.y; first < units; first += (integer)gridDim.x * blockDim.y) {
        integer unit = first + threadIdx.y, end = unit < units ? size : 0, gamma = unit % kinds * (size / inner);
        real rough = 0, rest = 0, squares = 0;
        if (centers_or_null) {
            for (integer i = threadIdx.x; i < end; i += blockDim.x)
                rough += xs[place_of(unit, i, stride, length, jump)];
            rough = joined_in_row(Sum(), rough) / size;
            for (integer i = threadIdx.x; i < end; i += blockDim.x)
                rest += xs[place_of(unit, i, stride, length, jump)] - rough;
            rest = joined_in_row(Sum(), rest) / size;
        }
        for (integer i = threadIdx.x; i < end; i += blockDim.x) {
            real d = (xs[place_of(unit, i, stride, length, jump)] - rough) - rest;
            squares += d * d;
        }
        real variance = joined_in_row(Sum(), squares) / size, inverse = 1 / sqrt(variance + real(epsilon));
        for (integer i = threadIdx.x; i < end; i += blockDim.x) {
            integer at = place_of(unit, i, stride, length, jump), g = gamma + i / inner;
            real y = ((xs[at] - rough) - rest) * inverse * gammas[g];
            ys[at] = betas_or_null ? y + betas_or_null[g] : y;
        }
        if (threadIdx.x > 0 || unit >= units)
            continue;
        inverses[unit] = inverse;
        if (centers_or_null)
            centers_or_null[unit] = rough + rest;
        if (new_means_or_null) {
            real of_batch = real(momentum * size / (size - 1)) * variance;
            new_means_or_null[unit] = real(1 - momentum) * means_or_null[unit] + real(momentum) * (rough + rest);
            new_variances_or_null[unit] = real(1 - momentum) * variances_or_null[unit] + of_batch;
        }
    }
}
"""

# `rests` gets what rounding has left in the means.
_GRADIENT = """
extern "C" __global__ void kernel_normalization_gradient(
    const real* dys, const real* xs, const real* centers_or_null, const real* inverses, const real* gammas, real* dxs,
    real* rests,
    integer units, integer size, integer stride, integer length, integer jump, integer kinds, integer inner)
{
    for (integer first = (integer)blockIdx.x * blockDim.y; first < units; first += (integer)gridDim.x * blockDim.y) {
        integer unit = first + threadIdx.y, end = unit < units ? size : 0, gamma = unit % kinds * (size / inner);
        real center = end > 0 && centers_or_null ? centers_or_null[unit] : real(0);
        real inverse = end > 0 ? inverses[unit] : real(0), rest = 0, mean = 0, share = 0;
        if (centers_or_null) {
            for (integer i = threadIdx.x; i < end; i += blockDim.x)
                rest += xs[place_of(unit, i, stride, length, jump)] - center;
            rest = joined_in_row(Sum(), rest) / size;
        }
        for (integer i = threadIdx.x; i < end; i += blockDim.x) {
            integer at = place_of(unit, i, stride, length, jump);
            real scaled = dys[at] * gammas[gamma + i / inner];
            mean += scaled;
            share += scaled * (((xs[at] - center) - rest) * inverse);
        }
        mean = joined_in_row(Sum(), mean) / size;
        share = joined_in_row(Sum(), share) / size;
        if (!centers_or_null)
            mean = 0;
        for (integer i = threadIdx.x; i < end; i += blockDim.x) {
            integer at = place_of(unit, i, stride, length, jump);
            real normal = ((xs[at] - center) - rest) * inverse;
            dxs[at] = (dys[at] * gammas[gamma + i / inner] - mean - normal * share) * inverse;
        }
        if (threadIdx.x == 0 && unit < units)
            rests[unit] = rest;
    }
}
"""

# A column of threads adds up what shares a gamma: `inner` numbers of each unit of its kind.
_SUMS = """
extern "C" __global__ void kernel_normalization_sums(
    const real* dys, const real* xs, const real* centers_or_null, const real* inverses, const real* rests,
    real* dgammas, real* dbetas_or_null,
    integer units, integer size, integer stride, integer length, integer jump, integer kinds, integer inner)
{
    integer gamma = (integer)blockIdx.x * blockDim.x + threadIdx.x, width = size / inner;
    integer end = gamma < kinds * width ? units / kinds * inner : 0;
    real product = 0, sum = 0;
    for (integer k = threadIdx.y; k < end; k += blockDim.y) {
        integer unit = gamma / width + k / inner * kinds, i = gamma % width * inner + k % inner;
        integer at = place_of(unit, i, stride, length, jump);
        real center = centers_or_null ? centers_or_null[unit] : real(0);
        product += dys[at] * (((xs[at] - center) - rests[unit]) * inverses[unit]);
        sum += dys[at];
    }
    product = sum_in_column(product);
    sum = sum_in_column(sum);
    if (threadIdx.y > 0 || gamma >= kinds * width)
        return;
    dgammas[gamma] = product;
    if (dbetas_or_null)
        dbetas_or_null[gamma] = sum;
}
"""

_NORMALIZE = """
extern "C" __global__ void kernel_normalize(
    const real* xs, const real* gammas, const real* betas, const real* means, const real* variances, real* ys,
    integer size, integer channels, integer inner, double epsilon)
{
    EACH(i, x, size) {
        integer c = i / inner % channels;
        ys[i] = (xs[i] - means[c]) * (gammas[c] / sqrt(variances[c] + real(epsilon))) + betas[c];
    }
}
"""

NORMS = {
    "normalization": _PLACE + _NORMALIZATION,
    "normalization_gradient": _GRADIENT,
    "normalization_sums": _SUMS,
    "normalize": _NORMALIZE,
}
"""The text of each kernel by its name."""
