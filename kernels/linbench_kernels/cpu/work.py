"""How many operations a call of linear_attention.cpp does: those of its products, as they are cut up.

A product of [n, depth] and [depth, columns] is 2 n depth columns. Rows are padded to R = 4 and columns to a
vector of the CPU; of a chunk's scores only the vectors up to the diagonal are computed.
"""

from linbench_kernels.cpu import calls
from linbench_kernels.cpu import compile as cpp

CHUNK = 16  # C of chunk.h
ROWS = 4  # R of products.h


def attention_flops(B: int, T: int, H: int, K: int, V: int, *, final: bool, gradient: bool) -> int:
    """Returns the operations of a forward pass and, if asked for, of the gradients, on this CPU.

    Per token and head, with c columns of scores (10 to 16, by the vector), about 4 K V + 2 c K + 20 V forward
    and 10 K V + 2 c (2 V + K) + 20 (2 K + V) more for the gradients. Where threads outnumber heads, T is cut
    into segments, whose states are summed twice.

    Args:
        B: Sequences.
        T: Tokens of each.
        H: Heads.
        K: Columns of q and k.
        V: Columns of v.
        final: Whether the state after the last token is asked for.
        gradient: Whether the gradients of q, k and v are; that of an initial state takes one chunk more.
    """
    segment = calls.segment_length(T, B * H, calls.threads())
    lengths = [min(segment, T - first) for first in range(0, T, segment)]
    flops = _outputs(lengths, K, V) + _updates(lengths, K, V, final)
    if gradient:
        flops += _outputs(lengths, V + 1, K) + _updates(lengths, V + 1, K, False)
        flops += _outputs(lengths, K, V)
        flops += _outputs(lengths, V + 1, K) + _updates(lengths[::-1], V + 1, K, False)
    return B * H * flops


def decode_flops(B: int, H: int, K: int, V: int) -> int:
    """Returns the operations of one token: the update of the state and its product with a query."""
    return 4 * B * H * K * V


def _outputs(lengths: list[int], depth: int, columns: int) -> int:
    """Returns the operations of `chunk_outputs` over segments: scores, and their and the state's products."""
    width = cpp.vector_floats()
    seen = scored = rows = 0
    for tokens in lengths:
        for count, times in ((CHUNK, tokens // CHUNK), (tokens % CHUNK, 1)):
            for end in range(ROWS, count + ROWS, ROWS):
                seen += times * min(end, count)
                scored += times * _up(end, width)
                rows += times
    return 2 * ROWS * (scored * depth + (seen + rows * depth) * _up(columns, width))


def _updates(lengths: list[int], depth: int, columns: int, final: bool) -> int:
    """Returns the operations of `advance` over segments in the order of the walk.

    All but the last are summed apart first. In the walk the last chunk of a segment is not added, unless the
    state after it is asked for.
    """
    tokens = sum(lengths[:-1]) + sum((length - 1) // CHUNK * CHUNK for length in lengths)
    if final:
        tokens += (lengths[-1] - 1) % CHUNK + 1
    return 2 * _up(depth, ROWS) * _up(columns, cpp.vector_floats()) * tokens


def _up(n: int, step: int) -> int:
    """Returns n rounded up to a multiple of a step."""
    return -(-n // step) * step
