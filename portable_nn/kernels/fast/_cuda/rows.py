"""Rows of a matrix by their numbers, and the sums that are the gradient, as `portable/embedding.py` has them."""

__all__ = ["ROWS"]

# What is the number of no row gives NaN: nobody has looked at numbers on a device.
_EMBEDDING = """
extern "C" __global__ void kernel_embedding(
    const real* W, const integer* indices, real* ys, integer rows, integer columns, integer count)
{
    EACH(i, y, rows) {
        integer row = indices[i];
        bool is_known = row >= 0 && row < count;
        EACH(c, x, columns) ys[i * columns + c] = is_known ? W[row * columns + c] : log(real(-1));
    }
}
"""

# `order` sorts the uses by their rows. Each thread adds up one column of the uses of one row, in that order.
_GRADIENT = """
__device__ integer first_use(const integer* indices, const integer* order, integer uses, integer row)
{
    integer begin = 0, end = uses;
    while (begin < end) {
        integer middle = (begin + end) / 2;
        if (indices[order[middle]] < row)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

extern "C" __global__ void kernel_embedding_gradient(
    const real* dys, const integer* indices, const integer* order, real* dWs,
    integer uses, integer columns, integer count, integer padding)
{
    EACH(row, y, count) {
        integer begin = row == padding ? uses : first_use(indices, order, uses, row);
        EACH(c, x, columns) {
            real sum = 0;
            for (integer i = begin; i < uses && indices[order[i]] == row; i++)
                sum += dys[order[i] * columns + c];
            dWs[row * columns + c] = sum;
        }
    }
}
"""

ROWS = {"embedding": _EMBEDDING, "embedding_gradient": _GRADIENT}
"""The text of each kernel by its name."""
