"""Device functions of attention with decay: sums of log-decays within a chunk, and the resulting weights."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def chunk_decay(log_decay, stride, first, rows, n_rows):
    """Returns log2 of the decay from before a chunk through each of its rows, [C], and through its last row.

    `log_decay` points to step 0 of one head, in natural logarithms; for a constant decay the stride is 0.
    Rows past the end of the sequence have no decay.
    """
    address = log_decay + first.to(tl.int64) * stride + rows * stride
    c = tl.cumsum(tl.load(address, mask=first + rows < n_rows, other=0.0) * LOG2_E, 0)
    return c, tl.sum(tl.where(rows == rows.shape[0] - 1, c, 0.0), 0)


@triton.jit
def causal_weights(c, rows):
    """Returns the decay from key to query, [query, key], 0 for keys after the query.

    It is a power of the difference: a product of 2^c and 2^-c would overflow within a chunk for log-decays of
    -3 per step, and much stronger decays are in use. The difference inherits the rounding of c: the relative
    error of a weight is about 2^-24 |c|.
    """
    return tl.exp2(tl.where(rows[:, None] >= rows[None, :], c[:, None] - c[None, :], float("-inf")))


@triton.jit
def anticausal_weights(c, rows):
    """Returns the transpose of `causal_weights`, [key, query], computed directly."""
    return tl.exp2(tl.where(rows[:, None] <= rows[None, :], c[None, :] - c[:, None], float("-inf")))


@triton.jit
def scale_rows(tile, factors):
    """Returns a tile with each row multiplied by its factor in float32, rounded to the dtype of the tile."""
    return (tile.to(tl.float32) * factors[:, None]).to(tile.dtype)
