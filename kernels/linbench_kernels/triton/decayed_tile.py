"""Device functions of attention with decay: sums of log-decays within a chunk, and the weights they give."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def chunk_decay(log_decay, stride, first, rows, n_rows):
    """Returns log2 of the decay from before a chunk through each of its rows, [C], and through its last row.

    `log_decay` is at step 0 of one head, in natural logarithms; a constant one has a stride of 0. Rows past
    the end of the sequence do not decay.
    """
    address = log_decay + first.to(tl.int64) * stride + rows * stride
    c = tl.cumsum(tl.load(address, mask=first + rows < n_rows, other=0.0) * LOG2_E, 0)
    return c, tl.sum(tl.where(rows == rows.shape[0] - 1, c, 0.0), 0)


@triton.jit
def causal_weights(c, rows):
    """Returns the decay from key to query, [query, key], 0 for keys that come after the query.

    It is a power of the difference: a product of 2^c and 2^-c would overflow within a chunk already at a
    log-decay of -3 a step, which is far from the strongest in use.
    The difference has the rounding of c: a weight is right to about 2^-24 |c|, relative.
    """
    return tl.exp2(tl.where(rows[:, None] >= rows[None, :], c[:, None] - c[None, :], float("-inf")))


@triton.jit
def anticausal_weights(c, rows):
    """Returns `causal_weights` transposed, [key, query], without a transposition."""
    return tl.exp2(tl.where(rows[:, None] <= rows[None, :], c[None, :] - c[:, None], float("-inf")))


@triton.jit
def scale_rows(tile, factors):
    """Returns a tile with each row multiplied by its factor in float32, rounded to the dtype of the tile."""
    return (tile.to(tl.float32) * factors[:, None]).to(tile.dtype)
