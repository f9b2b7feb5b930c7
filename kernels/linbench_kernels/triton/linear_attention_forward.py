"""Kernels for the outputs of causal linear attention: many steps (forward) and one step (decode)."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.tile import (
    COUNTS,
    feature_map,
    head_rows,
    is_idle,
    load_features,
    load_rows,
    locate,
    operand,
    segment_of,
    store_rows,
    sum_rows,
)

EPSILON = tl.constexpr(1e-6)  # added to the denominator, as in Katharopoulos et al.


@triton.jit(do_not_specialize=COUNTS)
def forward(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    o,  # [B, T, H, V] contiguous, written
    denominators,  # [B, H, T] float32, written; or None
    states,  # [B, segments, H, K, V] float32, at the start of each segment; or None for zeros
    normalizers,  # [B, segments, H, K] float32; or None for zeros
    final_state,  # [B, H, K, V] float32, written; or None
    final_normalizer,  # [B, H, K] float32, written; or None
    q_strides,
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
    NORMALIZE: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes o for one slice of V of one segment, chunk by chunk, with the state in registers.

    Within a chunk: o = tril(phi(Q) phi(K)^T) V + phi(Q) S. The denominator is the row sum of the same scores
    plus phi(Q) z, so the normaliser reads no further data.

    The state is transposed, S^T: phi(K) is then the right operand of both of its products, and passes through
    shared memory once. max_num_imprecise_acc, which otherwise affects only 8-bit floats, prevents the
    compiler from accumulating a chunk into S on the tensor cores, which truncate: the chunk is summed
    separately and added in float32.
    """
    v_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    sequence, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    stream = (batch * H + head).to(tl.int64)
    rows = tl.arange(0, CHUNK)
    k_columns = tl.arange(0, BLOCK_K)
    v_columns = v_slice * BLOCK_V + tl.arange(0, BLOCK_V)
    state_valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    causal = rows[:, None] >= rows[None, :]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    o += (batch.to(tl.int64) * T * H + head) * V

    if states is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = states + index * K * V + k_columns[None, :] * V + v_columns[:, None]
        S = tl.load(address, mask=state_valid, other=0.0)
        z = tl.load(normalizers + index * K + k_columns, mask=k_columns < K, other=0.0)
    else:
        S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
        z = tl.zeros([BLOCK_K], tl.float32)

    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        q_tile = load_features(q, q_strides[1], first, rows, k_columns, stop, K, FEATURE_MAP)  # [C, K]
        d = tl.sum(q_tile.to(tl.float32) * z[None, :], 1) + EPSILON
        k_tile = load_features(k, k_strides[1], first, rows, k_columns, stop, K, FEATURE_MAP)  # [C, K]
        z += sum_rows(k_tile, first + rows < stop)
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]

        scores = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)
        scores = tl.where(causal, scores, 0.0)  # [C, C]
        S_tile, scale = operand(S, q_tile.dtype)
        o_tile = tl.dot(scores.to(v_tile.dtype), v_tile, input_precision=PRECISION)
        o_tile += tl.dot(q_tile, tl.trans(S_tile), input_precision=PRECISION) * scale
        if NORMALIZE:
            d += tl.sum(scores, 1)
            o_tile /= d[:, None]
            if denominators is not None:  # noqa: SIM102 (decided at compile time)
                if v_slice == 0:
                    tl.store(denominators + stream * T + first + rows, d, mask=first + rows < stop)
        store_rows(o, H * V, first, rows, v_columns, stop, V, o_tile)

        S += tl.dot(tl.trans(v_tile), k_tile, input_precision=PRECISION, max_num_imprecise_acc=1)

    if final_state is not None:  # noqa: SIM102 (decided at compile time)
        if stop == end:
            index = (sequence * H + head).to(tl.int64)
            address = final_state + index * K * V + k_columns[None, :] * V + v_columns[:, None]
            tl.store(address, S, mask=state_valid)
            if v_slice == 0:
                tl.store(final_normalizer + index * K + k_columns, z, mask=k_columns < K)


@triton.jit
def decode(
    q,  # [B, 1, H, K]
    k,  # [B, 1, H, K]
    v,  # [B, 1, H, V]
    o,  # [B, 1, H, V] contiguous, written
    state,  # [B, H, K, V] float32, updated
    normalizer,  # [B, H, K] float32, updated
    q_strides,
    k_strides,
    v_strides,
    H,
    K: tl.constexpr,
    V: tl.constexpr,
    FEATURE_MAP: tl.constexpr,
    NORMALIZE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):
    """Writes o and updates the state of one head by one step; the state is read once and written once.

    A program owns all of V: every column of o is divided by the same phi(q) . z, so if several programs
    shared a head, they would read a z that one of them updates.
    """
    _, _, batch, head = locate(tl.program_id(0), 1, 1, H)
    stream = (batch * H + head).to(tl.int64)
    k_columns = tl.arange(0, BLOCK_K)
    k_valid = k_columns < K
    v = head_rows(v, v_strides, batch, head)
    o += stream * V
    state += stream * K * V
    normalizer += stream * K

    q_row = tl.load(head_rows(q, q_strides, batch, head) + k_columns, mask=k_valid, other=0.0).to(tl.float32)
    k_row = tl.load(head_rows(k, k_strides, batch, head) + k_columns, mask=k_valid, other=0.0).to(tl.float32)
    q_row = tl.where(k_valid, feature_map(q_row, FEATURE_MAP), 0.0)
    k_row = tl.where(k_valid, feature_map(k_row, FEATURE_MAP), 0.0)
    z = tl.load(normalizer + k_columns, mask=k_valid, other=0.0) + k_row
    d = tl.sum(q_row * z, 0) + EPSILON if NORMALIZE else 1.0
    tl.debug_barrier()  # warps hold copies of the short z: all must read it before one stores it
    tl.store(normalizer + k_columns, z, mask=k_valid)

    for first in tl.static_range(0, V, BLOCK_V):
        v_columns = first + tl.arange(0, BLOCK_V)
        v_valid = v_columns < V
        v_row = tl.load(v + v_columns, mask=v_valid, other=0.0).to(tl.float32)
        address = state + k_columns[:, None] * V + v_columns[None, :]
        valid = k_valid[:, None] & v_valid[None, :]
        S = tl.load(address, mask=valid, other=0.0) + k_row[:, None] * v_row[None, :]
        tl.store(address, S, mask=valid)
        o_row = tl.sum(q_row[:, None] * S, 0) / d
        tl.store(o + v_columns, o_row.to(o.dtype.element_ty), mask=v_valid)
