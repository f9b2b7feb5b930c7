"""Kernels for the outputs of causal linear attention with decay: many steps (forward) and one (decode)."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.decayed_tile import LOG2_E, causal_weights, chunk_decay, scale_rows
from linbench_kernels.triton.tile import (
    COUNTS,
    head_rows,
    is_idle,
    load_rows,
    locate,
    operand,
    segment_of,
    store_rows,
)


@triton.jit(do_not_specialize=COUNTS)
def forward(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    log_decay,  # [B, T, H] float32; strides (0, 0, 1) for a constant decay
    o,  # [B, T, H, V] contiguous, written
    states,  # [B, segments, H, K, V] float32, at the start of each segment; or None for zeros
    final_state,  # [B, H, K, V] float32, written; or None
    q_strides,
    k_strides,
    v_strides,
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
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes o for one slice of V of one segment, chunk by chunk, with the state S^T in registers.

    With c_t the sum of log-decays from the start of the chunk through step t, and c the sum over the chunk:

        o_t = scale (sum_{s <= t} exp(c_t - c_s) (q_t . k_s) v_s + exp(c_t) S^T q_t)
        S <- exp(c) S + sum_s exp(c - c_s) k_s v_s^T

    A chunk is summed separately and then added in float32; see `linear_attention_forward.forward`.
    """
    v_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    sequence, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    rows = tl.arange(0, CHUNK)
    k_columns = tl.arange(0, BLOCK_K)
    v_columns = v_slice * BLOCK_V + tl.arange(0, BLOCK_V)
    state_valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    log_decay = head_rows(log_decay, decay_strides, batch, head)
    o += (batch.to(tl.int64) * T * H + head) * V

    if states is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = states + index * K * V
        address += k_columns[None, :] * V + v_columns[:, None]
        S = tl.load(address, mask=state_valid, other=0.0)
    else:
        S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)

    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        q_tile = load_rows(q, q_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        k_tile = load_rows(k, k_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        c, total = chunk_decay(log_decay, decay_strides[1], first, rows, stop)

        S_tile, S_scale = operand(S, q_tile.dtype)
        o_tile = tl.dot(q_tile, tl.trans(S_tile), input_precision=PRECISION)
        o_tile *= (tl.exp2(c) * S_scale)[:, None]
        scores = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION)
        scores *= causal_weights(c, rows)  # [C, C]
        o_tile += tl.dot(scores.to(v_tile.dtype), v_tile, input_precision=PRECISION)
        store_rows(o, H * V, first, rows, v_columns, stop, V, o_tile * scale)

        v_tile = scale_rows(v_tile, tl.exp2(total - c))
        S *= tl.exp2(total)
        S += tl.dot(tl.trans(v_tile), k_tile, input_precision=PRECISION, max_num_imprecise_acc=1)

    if final_state is not None:  # noqa: SIM102 (decided at compile time)
        if stop == end:
            index = (sequence * H + head).to(tl.int64)
            address = final_state + index * K * V + k_columns[None, :] * V + v_columns[:, None]
            tl.store(address, S, mask=state_valid)


@triton.jit
def decode(
    q,  # [B, 1, H, K]
    k,  # [B, 1, H, K]
    v,  # [B, 1, H, V]
    log_decay,  # [B, 1, H] float32
    o,  # [B, 1, H, V] contiguous, written
    state,  # [B, H, K, V] float32, updated
    q_strides,
    k_strides,
    v_strides,
    decay_strides,
    scale,
    H,
    K: tl.constexpr,
    V: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
):
    """Writes o and updates the state by one step, for one slice of V, which no other program accesses."""
    n_slices: tl.constexpr = (V + BLOCK_V - 1) // BLOCK_V
    v_slice, _, batch, head = locate(tl.program_id(0), n_slices, 1, H)
    stream = (batch * H + head).to(tl.int64)
    k_columns = tl.arange(0, BLOCK_K)
    v_columns = v_slice * BLOCK_V + tl.arange(0, BLOCK_V)
    k_valid = k_columns < K
    v_valid = v_columns < V
    address = state + stream * K * V + k_columns[:, None] * V + v_columns[None, :]
    state_valid = k_valid[:, None] & v_valid[None, :]

    q_row = tl.load(head_rows(q, q_strides, batch, head) + k_columns, mask=k_valid, other=0.0).to(tl.float32)
    k_row = tl.load(head_rows(k, k_strides, batch, head) + k_columns, mask=k_valid, other=0.0).to(tl.float32)
    v_row = tl.load(head_rows(v, v_strides, batch, head) + v_columns, mask=v_valid, other=0.0).to(tl.float32)
    factor = tl.exp2(tl.load(head_rows(log_decay, decay_strides, batch, head)) * LOG2_E)

    S = tl.load(address, mask=state_valid, other=0.0) * factor + k_row[:, None] * v_row[None, :]
    tl.store(address, S, mask=state_valid)
    o_row = tl.sum(q_row[:, None] * S, 0) * scale
    tl.store(o + stream * V + v_columns, o_row.to(o.dtype.element_ty), mask=v_valid)
