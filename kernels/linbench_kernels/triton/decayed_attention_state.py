"""Kernels for the states at segment borders in attention with decay, and for their gradients."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.decayed_tile import chunk_decay, scale_rows
from linbench_kernels.triton.tile import (
    COUNTS,
    head_rows,
    is_idle,
    load_rows,
    locate,
    segment_of,
    segments_of,
)


@triton.jit(do_not_specialize=COUNTS)
def segment_sums(
    x,  # [B, T, H, K]: k; REVERSE: q
    y,  # [B, T, H, V]: v; REVERSE: the gradient of o
    log_decay,  # [B, T, H] float32
    sums,  # [B, segments, H, K, V] float32, written
    totals,  # [B, segments, H] float32, written
    x_strides,
    y_strides,
    decay_strides,
    scale,
    T,
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    n_sequences,
    segment_length,
    n_segments,
    n_slices,
    K: tl.constexpr,
    V: tl.constexpr,
    REVERSE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes each segment's contribution to the state after it (REVERSE: to the gradient before it).

    It is scale sum_t d_t x_t y_t^T, with d_t the decay after step t to the end of the segment (REVERSE: from
    its start through step t). `totals` is log2 of the decay over the whole segment.
    """
    v_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    _, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    rows = tl.arange(0, CHUNK)
    k_columns = tl.arange(0, BLOCK_K)
    v_columns = v_slice * BLOCK_V + tl.arange(0, BLOCK_V)
    x = head_rows(x, x_strides, batch, head)
    y = head_rows(y, y_strides, batch, head)
    log_decay = head_rows(log_decay, decay_strides, batch, head)

    S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
    segment_total = 0.0
    n_chunks = tl.cdiv(stop - start, CHUNK)
    for i in range(0, n_chunks):
        first = start + (n_chunks - 1 - i if REVERSE else i) * CHUNK
        x_tile = load_rows(x, x_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        y_tile = load_rows(y, y_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        c, total = chunk_decay(log_decay, decay_strides[1], first, rows, stop)
        y_tile = scale_rows(y_tile, tl.exp2(c) if REVERSE else tl.exp2(total - c))
        S *= tl.exp2(total)
        S += tl.dot(tl.trans(y_tile), x_tile, input_precision=PRECISION, max_num_imprecise_acc=1)
        segment_total += total

    index = ((batch * n_segments + item) * H + head).to(tl.int64)
    valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    tl.store(sums + index * K * V + k_columns[None, :] * V + v_columns[:, None], S * scale, mask=valid)
    if v_slice == 0:
        tl.store(totals + index, segment_total)


@triton.jit(do_not_specialize=["segment_length", "n_segments"])
def scan_segments(
    sums,  # [B, segments, H, SIZE] float32, overwritten
    totals,  # [B, segments, H] float32
    initial,  # [sequences, H, SIZE] float32 or None
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    segment_length,
    n_segments,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Replaces each sum by the decayed sum of `initial` and all segments before (REVERSE: after) it."""
    n_blocks: tl.constexpr = (SIZE + BLOCK - 1) // BLOCK
    stream = (tl.program_id(0) // n_blocks).to(tl.int64)
    first, number = segments_of(stream // H, cu_seqlens, segment_length, n_segments)
    columns = tl.program_id(0) % n_blocks * BLOCK + tl.arange(0, BLOCK)
    valid = columns < SIZE
    if initial is not None:
        state = tl.load(initial + stream * SIZE + columns, mask=valid, other=0.0)
    else:
        state = tl.zeros([BLOCK], tl.float32)
    for i in range(0, number):
        index = (first + (number - 1 - i if REVERSE else i)) * H + stream % H
        value = tl.load(sums + index * SIZE + columns, mask=valid, other=0.0)
        tl.store(sums + index * SIZE + columns, state, mask=valid)
        state = state * tl.exp2(tl.load(totals + index)) + value
