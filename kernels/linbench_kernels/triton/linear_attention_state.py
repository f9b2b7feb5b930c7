"""Kernels for the state of causal linear attention at the start of each segment of a sequence."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.tile import (
    COUNTS,
    head_rows,
    is_idle,
    load_features,
    load_rows,
    locate,
    segment_of,
    segments_of,
    sum_rows,
)


@triton.jit(do_not_specialize=COUNTS)
def segment_states(
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    states,  # [B, segments, H, K, V] float32, written
    normalizers,  # [B, segments, H, K] float32, written
    k_strides,
    v_strides,
    T,
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    n_sequences,
    segment_length,
    n_segments,
    n_slices,
    K: tl.constexpr,
    V: tl.constexpr,
    FEATURE_MAP: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes the contribution of each segment to the state: sum phi(k_t) v_t^T and sum phi(k_t).

    One program owns one slice of V. The product of a chunk is summed separately and then added in float32, so
    the error of a long sum grows with the number of chunks and not with T.
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
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)

    S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
    z = tl.zeros([BLOCK_K], tl.float32)
    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        k_tile = load_features(k, k_strides[1], first, rows, k_columns, stop, K, FEATURE_MAP)  # [C, K]
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        S += tl.dot(tl.trans(v_tile), k_tile, input_precision=PRECISION, max_num_imprecise_acc=1)
        z += sum_rows(k_tile, first + rows < stop)

    index = ((batch * n_segments + item) * H + head).to(tl.int64)
    valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    tl.store(states + index * K * V + k_columns[None, :] * V + v_columns[:, None], S, mask=valid)
    if v_slice == 0:
        tl.store(normalizers + index * K + k_columns, z, mask=k_columns < K)


@triton.jit(do_not_specialize=["segment_length", "n_segments"])
def scan_segments(
    sums,  # [B, segments, H, SIZE] float32, overwritten
    initial,  # [sequences, H, SIZE] float32 or None
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    segment_length,
    n_segments,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Replaces each segment's sum by `initial` plus the sums of the segments before (REVERSE: after) it."""
    n_blocks: tl.constexpr = (SIZE + BLOCK - 1) // BLOCK
    stream = (tl.program_id(0) // n_blocks).to(tl.int64)
    first, number = segments_of(stream // H, cu_seqlens, segment_length, n_segments)
    columns = tl.program_id(0) % n_blocks * BLOCK + tl.arange(0, BLOCK)
    valid = columns < SIZE
    if initial is not None:
        total = tl.load(initial + stream * SIZE + columns, mask=valid, other=0.0)
    else:
        total = tl.zeros([BLOCK], tl.float32)
    for i in range(0, number):
        segment = first + (number - 1 - i if REVERSE else i)
        address = sums + (segment * H + stream % H) * SIZE + columns
        value = tl.load(address, mask=valid, other=0.0)
        tl.store(address, total, mask=valid)
        total += value
