"""The number of operations of a call of linear_attention.cpp: those of its tiled products.

A product of [n, depth] and [depth, columns] has 2 n depth columns operations. Rows are padded to a multiple
of R = 4 and columns to whole vectors of the CPU; the scores of a chunk are computed only for vectors up to
the diagonal.
"""

from linbench_kernels.cpu import calls
from linbench_kernels.cpu import compile as cpp

CHUNK = 16  # C of chunk.h
ROWS = 4  # R of products.h


def attention_flops(B: int, T: int, H: int, K: int, V: int, *, final: bool, gradient: bool) -> int:
    """Returns the operations of a forward pass and, if requested, of the gradients, on this CPU.

    Per token and head, with c columns of scores (10 to 16, depending on the vector width), the forward pass
    has about 4 K V + 2 c K + 20 V operations and the gradients add 10 K V + 2 c (2 V + K) + 20 (2 K + V). If
    there are more threads than heads, T is split into segments, whose states are computed twice.

    Args:
        B: Number of sequences.
        T: Tokens per sequence.
        H: Number of heads.
        K: Columns of q and k.
        V: Columns of v.
        final: Whether the state after the last token is computed.
        gradient: Whether the gradients of q, k and v are computed; that of an initial state takes one more
            chunk.
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
    """Returns the operations of `chunk_outputs` over segments: scores, and products of scores and state."""
    width = cpp.vector_floats()
    visible = scored = rows = 0
    for tokens in lengths:
        for count, times in ((CHUNK, tokens // CHUNK), (tokens % CHUNK, 1)):
            for end in range(ROWS, count + ROWS, ROWS):
                visible += times * min(end, count)
                scored += times * _round_up(end, width)
                rows += times
    return 2 * ROWS * (scored * depth + (visible + rows * depth) * _round_up(columns, width))


def _updates(lengths: list[int], depth: int, columns: int, final: bool) -> int:
    """Returns the operations of `advance` over segments in the order of the pass.

    All segments but the last are first summed separately. The main pass does not add the last chunk of a
    segment to the state, unless the state after it is requested.
    """
    tokens = sum(lengths[:-1]) + sum((length - 1) // CHUNK * CHUNK for length in lengths)
    if final:
        tokens += (lengths[-1] - 1) % CHUNK + 1
    return 2 * _round_up(depth, ROWS) * _round_up(columns, cpp.vector_floats()) * tokens


def _round_up(n: int, step: int) -> int:
    """Returns n rounded up to a multiple of a step."""
    return -(-n // step) * step
