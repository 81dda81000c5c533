"""What all kernels share: a loop over elements, and sums over threads in an order that never changes."""

__all__ = ["PRELUDE"]

PRELUDE = r"""
typedef long long integer;

#define THREADS 256  // in a block

// The elements, rows or columns of this thread: as many apart as there are threads along the axis.
#define EACH(i, axis, n) \
    for (integer i = (integer)blockIdx.axis * blockDim.axis + threadIdx.axis; i < (n); \
         i += (integer)gridDim.axis * blockDim.axis)

struct Sum {
    __device__ real operator()(real a, real b) const { return a + b; }
};

struct Largest {
    __device__ real operator()(real a, real b) const { return a > b ? a : b; }
};

__device__ unsigned thread_number() { return threadIdx.y * blockDim.x + threadIdx.x; }

// Join the values of `count` threads, a power of two, whose numbers are `step` apart; this one is the `place`-th. All
// threads of the block call this together, and each gets what its own ones gave.
template <class Join>
__device__ real joined(Join join, real value, unsigned place, unsigned count, unsigned step)
{
    __shared__ real values[THREADS];
    unsigned self = thread_number();
    values[self] = value;
    __syncthreads();
    for (unsigned half = count / 2; half > 0; half /= 2) {
        if (place < half)
            values[self] = join(values[self], values[self + half * step]);
        __syncthreads();
    }
    value = values[self - place * step];
    __syncthreads();  // before anyone writes here again
    return value;
}

template <class Join>
__device__ real joined_in_row(Join join, real value) { return joined(join, value, threadIdx.x, blockDim.x, 1); }

__device__ real sum_in_column(real value) { return joined(Sum(), value, threadIdx.y, blockDim.y, blockDim.x); }

__device__ real sum_in_block(real value)
{
    return joined(Sum(), value, thread_number(), blockDim.x * blockDim.y, 1);
}

// Tell all threads of a block whether it is the last of `blocks` to come here; it then sees what the others wrote. The
// ticket is 0 before the first block comes, and again after the last. Source: threadFenceReduction in the CUDA samples.
__device__ bool is_last(unsigned* ticket, unsigned blocks)
{
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (thread_number() == 0) {
        last = atomicInc(ticket, blocks - 1) == blocks - 1;
        __threadfence();
    }
    __syncthreads();
    return last;
}

// Write `factor` times the sum of all threads' values, in one launch and in one order: the last block adds the blocks.
__device__ void add_up(real value, double factor, real* total, real* partials, unsigned* ticket)
{
    value = sum_in_block(value);
    if (thread_number() == 0)
        partials[blockIdx.x] = value;
    if (is_last(ticket, gridDim.x)) {
        value = 0;
        for (unsigned block = thread_number(); block < gridDim.x; block += THREADS)
            value += partials[block];
        value = sum_in_block(value);
        if (thread_number() == 0)
            *total = real(factor) * value;
    }
}

__device__ real sigmoid_of(real x)
{
    real e = exp(-fabs(x));
    return (x >= 0 ? real(1) : e) / (1 + e);
}

// log(1 + exp(y)) - t y, in which nothing cancels in either tail.
__device__ real cross_entropy_of(real y, real t)
{
    real wrong = y > 0 ? 1 - t : t;
    return log1p(exp(-fabs(y))) + (wrong == 0 ? wrong : fabs(y) * wrong);
}

__device__ real softplus_of(real x) { return (x > 0 || x != x ? x : real(0)) + log1p(exp(-fabs(x))); }

__device__ real normal_distribution(real x) { return real(0.5) * (1 + erf(x * real(0.70710678118654752440))); }
"""
