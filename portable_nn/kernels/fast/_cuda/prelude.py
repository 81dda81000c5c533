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
    template <class Value>
    __device__ Value operator()(Value a, Value b) const { return a + b; }
};

struct Largest {
    __device__ real operator()(real a, real b) const { return a > b ? a : b; }
};

__device__ unsigned thread_number() { return threadIdx.y * blockDim.x + threadIdx.x; }

// Join the values of `count` threads, a power of two, whose numbers are `step` apart; this one is the `place`-th. All
// threads of the block call this together, and each gets what its own ones gave.
template <class Join, class Value>
__device__ Value joined(Join join, Value value, unsigned place, unsigned count, unsigned step)
{
    __shared__ Value values[THREADS];
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

template <class Value>
__device__ Value sum_in_block(Value value)
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

// Return the sum of what the blocks have put into `values`, one each: all threads of one block call this together.
template <class Value>
__device__ Value sum_of_blocks(const Value* values, Value sum)
{
    for (unsigned block = thread_number(); block < gridDim.x; block += THREADS)
        sum = sum + values[block];
    return sum_in_block(sum);
}

// Write the sums of the columns of a matrix, in one order: all threads of one block call this together.
__device__ void sum_columns(const real* matrix, integer rows, integer columns, real* sums)
{
    unsigned width = 1;
    while (width < columns && width < 32)
        width *= 2;
    unsigned x = thread_number() % width, y = thread_number() / width;
    for (integer first = 0; first < columns; first += width) {
        integer column = first + x;
        real sum = 0;
        if (column < columns)
            for (integer row = y; row < rows; row += THREADS / width)
                sum += matrix[row * columns + column];
        sum = joined(Sum(), sum, y, THREADS / width, width);
        if (y == 0 && column < columns)
            sums[column] = sum;
    }
}

// Write `factor` times the sum of all threads' values, and (unless `sums` is null) the column sums of a matrix of
// which this block wrote these rows: in one launch and in one order, as the last block adds up what the others left.
__device__ void add_up(
    real value, double factor, real* total, const real* matrix, integer rows, integer columns, real* sums,
    real* partials, unsigned* ticket)
{
    real* partial_sums = partials + gridDim.x;
    value = sum_in_block(value);
    if (thread_number() == 0)
        partials[blockIdx.x] = value;
    if (sums)
        sum_columns(matrix, rows, columns, partial_sums + blockIdx.x * columns);
    if (!is_last(ticket, gridDim.x))
        return;
    value = sum_of_blocks(partials, real(0));
    if (thread_number() == 0)
        *total = real(factor) * value;
    if (sums)
        sum_columns(partial_sums, gridDim.x, columns, sums);
}

// The sum of squares of what is not huge, and that of what is, scaled down, so that no square overflows; in double, a
// square of a float has all its digits. Source: Blue (ACM TOMS 4, 1978, 15-23) with the constants of LAPACK's DNRM2.
// What is so small that its square is lost cannot matter beside a limit of at least 1e-30.
struct Squares {
    double middle, huge;
};

__device__ Squares operator+(Squares a, Squares b) { return {a.middle + b.middle, a.huge + b.huge}; }

#define HUGE_FROM 1.99791907220223503e+146  // 2^486
#define DOWN 1.11137937474253874e-162  // 2^-538

__device__ Squares squares_of(double x)
{
    if (fabs(x) > HUGE_FROM)
        return {0, (x * DOWN) * (x * DOWN)};
    return {x * x, 0};
}

__device__ void add_up_squares(Squares sum, double* norm, double* partials, unsigned* ticket)
{
    sum = sum_in_block(sum);
    Squares* sums = (Squares*)partials;
    if (thread_number() == 0)
        sums[blockIdx.x] = sum;
    if (is_last(ticket, gridDim.x)) {
        sum = sum_of_blocks(sums, {0, 0});
        if (thread_number() == 0)
            *(Squares*)norm = sum;
    }
}

// What brings arrays with these sums, all of them together, within the limit, as two factors, neither of which
// underflows; 1 if something is NaN.
struct Factor {
    double scale, rest;
};

__device__ Factor factor_within(const double* norms, integer count, double limit)
{
    Squares sum = {0, 0};
    for (integer k = 0; k < count; k++)
        sum = sum + ((const Squares*)norms)[k];
    double scale = sum.huge > 0 ? DOWN : 1;
    double norm = sqrt(sum.huge + (sum.middle * scale) * scale);
    if (!(norm > limit * scale))
        return {1, 1};
    return {scale, limit / norm};
}

__device__ real sigmoid_of(real x)
{
    real e = exp(-fabs(x));
    return (x >= 0 ? real(1) : e) / (1 + e);
}

// a b, but 0 where a is 0 and b is infinite.
__device__ real beside(real a, real b) { return a == 0 && isinf(b) ? real(0) : a * b; }

// w t log(1 + exp(-y)) + (1 - t) log(1 + exp(y)), in which nothing cancels in either tail.
__device__ real cross_entropy_of(real y, real t, real w)
{
    return (w * t + (1 - t)) * log1p(exp(-fabs(y))) + beside(y > 0 ? 1 - t : w * t, fabs(y));
}

__device__ real positive_of(real x) { return x > 0 || x != x ? x : real(0); }

__device__ real is_positive(real x) { return x > 0 ? real(1) : x <= 0 ? real(0) : x; }

__device__ real sign_of(real x) { return x > 0 ? real(1) : x < 0 ? real(-1) : x; }

__device__ real core_of(real size, real delta) { return size > delta ? delta : size; }

__device__ real softplus_of(real x) { return positive_of(x) + log1p(exp(-fabs(x))); }

__device__ real log_cosh_of(real x)
{
    real size = fabs(x), half = sinh(real(0.5) * size);
    return size < 1 ? log1p(2 * half * half) : size + log1p(exp(-2 * size)) - real(0.69314718055994530942);
}

__device__ real pinball_of(real d, real q) { return d > 0 ? (1 - q) * d : -q * d; }

__device__ real pinball_slope_of(real d, real q) { return d > 0 ? 1 - q : -d > 0 ? -q : d; }

__device__ real focal_loss_of(real y, real t, real gamma, real yes, real no)
{
    real of_yes = pow(sigmoid_of(-y), gamma) * beside(t, softplus_of(-y));
    return yes * of_yes + no * (pow(sigmoid_of(y), gamma) * beside(1 - t, softplus_of(y)));
}

__device__ real focal_slope_of(real y, real t, real gamma, real yes, real no)
{
    real p = sigmoid_of(y), q = sigmoid_of(-y);
    real of_yes = t * pow(q, gamma) * (q + gamma * beside(p, softplus_of(-y)));
    return no * ((1 - t) * pow(p, gamma) * (p + gamma * beside(q, softplus_of(y)))) - yes * of_yes;
}

__device__ real clipped(real x, real low, real high) { return x < low ? low : x > high ? high : x; }

// GELU and its derivative: of |x|, 1 - Phi keeps its digits where Phi(x) vanishes. Beyond 40 it is 0.
__device__ real reached(real size) { return size > 40 ? real(40) : size; }

__device__ real upper_tail(real size) { return real(0.5) * erfc(size * real(0.70710678118654752440)); }

__device__ real gelu_of(real x)
{
    real size = reached(fabs(x));
    return positive_of(x) - size * upper_tail(size);
}

__device__ real gelu_slope_of(real x)
{
    real size = reached(fabs(x));
    real below = upper_tail(size) - size * (exp(real(-0.5) * size * size) * real(0.39894228040143267794));
    return x < 0 ? below : 1 - below;
}

// What GELU by tanh multiplies x by, and its derivative; beyond 40 it is 0 or 1, and nothing overflows.
__device__ real gate_of(real x)
{
    x = clipped(x, real(-40), real(40));
    return sigmoid_of(x * (real(1.59576912160573071176) + real(0.07135481627260024960) * (x * x)));
}

__device__ real gate_slope_of(real x)
{
    real gate = gate_of(x);
    x = clipped(x, real(-40), real(40));
    real slope = x * (real(1.59576912160573071176) + real(0.21406444881780074880) * (x * x));
    return gate * (1 + (1 - gate) * slope);
}

#define FLOOR real(-1.7580993408473768599)  // of SELU

// What alpha dropout multiplies by, for a variance of 1.
__device__ real alpha_scale_of(real rate) { return 1 / sqrt((1 - rate) * (1 + rate * FLOOR * FLOOR)); }

__device__ real tanh_of_softplus(real x)
{
    real e = exp(-fabs(x));
    real above = x >= 0 ? 1 + 2 * e : e * (2 + e);
    return above / (above + 2 * (x >= 0 ? e * e : real(1)));
}

__device__ real mish_slope_of(real x)
{
    real w = tanh_of_softplus(x);
    return w + x * (1 - w * w) * sigmoid_of(x);
}
"""
