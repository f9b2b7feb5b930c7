"""Kernels for the gradients of causal linear attention with decay.

With W_ts = exp(g_{s+1} + ... + g_t) the decay from step s to step t, and u the gradient of o:

    dq_t = scale sum_{s <= t} W_ts (u_t . v_s) k_s = scale S_t u_t
    dk_s = R_s v_s        dv_s = R_s^T k_s        R_s = scale sum_{t >= s} W_ts q_t u_t^T

(S_0 enters S and the gradient of S_T enters R, decayed.) dq, dk and dv are again attention with decay, dk
and dv in reverse order, so each kernel has one state and splits its columns over programs.

The gradient of g_t is the inner product of R_t and exp(g_t) S_{t-1}, called the flow from the steps before t
to those from t on. No kernel has both states at every step, but dg_t can be computed from dg_{t+1}:

    dg_t = dg_{t+1} + q_t . dq_t - k_t . dk_t        dg_{T+1} = S_T . dS_T

This sum over all steps is inaccurate with rounded dq and dk: under strong decay the two terms are nearly
equal, and under any decay the error grows with T. Therefore the flow within a chunk is summed from one matrix
of products in float32, without its diagonal; the flow between chunks is computed from the products with the
states, before they are rounded; and every DRIFT steps the sum restarts from the inner product of the state,
which query_gradient stores, and its gradient.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.decayed_tile import (
    anticausal_weights,
    causal_weights,
    chunk_decay,
    scale_rows,
)
from linbench_kernels.triton.tile import (
    COUNTS,
    first_segment,
    head_rows,
    is_idle,
    load_rows,
    locate,
    operand,
    segment_of,
    store_rows,
)


@triton.jit(do_not_specialize=[*COUNTS, "n_borders"])
def query_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    u,  # [B, T, H, V], the gradient of o
    log_decay,  # [B, T, H] float32
    dq,  # [B, T, H, K] contiguous, written
    flows,  # [slices, B, H, T] float32, written: flow into t minus flow from t within its chunk; or None
    borders,  # [B, H, borders, K, V] float32, written: states after every DRIFT steps; or None
    states,  # [B, segments, H, K, V] float32, at the start of each segment; or None for zeros
    q_strides,
    k_strides,
    v_strides,
    u_strides,
    decay_strides,
    scale,
    B,
    n_borders,
    T,
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    n_sequences,
    segment_length,
    n_segments,
    n_slices,
    K: tl.constexpr,
    V: tl.constexpr,
    DECAY_GRADIENT: tl.constexpr,
    DRIFT: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes dq for one slice of K of one segment; its state is S^T."""
    k_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    sequence, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    stream = (batch * H + head).to(tl.int64)
    rows = tl.arange(0, CHUNK)
    k_columns = k_slice * BLOCK_K + tl.arange(0, BLOCK_K)
    v_columns = tl.arange(0, BLOCK_V)
    state_valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    state_offsets = k_columns[None, :] * V + v_columns[:, None]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    u = head_rows(u, u_strides, batch, head)
    log_decay = head_rows(log_decay, decay_strides, batch, head)
    dq += (batch.to(tl.int64) * T * H + head) * K
    if DECAY_GRADIENT:
        flows += (k_slice.to(tl.int64) * B * H + stream) * T
        first_border = first_segment(sequence, begin, cu_seqlens, DRIFT)
        borders += (stream * n_borders + first_border) * K * V

    if states is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = states + index * K * V + state_offsets
        S = tl.load(address, mask=state_valid, other=0.0)
    else:
        S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)

    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        k_tile = load_rows(k, k_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        u_tile = load_rows(u, u_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        c, total = chunk_decay(log_decay, decay_strides[1], first, rows, stop)

        if DECAY_GRADIENT:
            q_tile = load_rows(q, q_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        scores = tl.dot(u_tile, tl.trans(v_tile), input_precision=PRECISION)
        scores *= causal_weights(c, rows) * scale  # [query, key]
        if DECAY_GRADIENT:
            products = tl.dot(q_tile, tl.trans(k_tile), input_precision=PRECISION) * scores
            products = tl.where(rows[:, None] > rows[None, :], products, 0.0)
            flow = tl.sum(products, 1) - tl.sum(products, 0)
        S_tile, S_scale = operand(S, u_tile.dtype)
        dq_tile = tl.dot(u_tile, S_tile, input_precision=PRECISION)
        dq_tile *= (tl.exp2(c) * (scale * S_scale))[:, None]
        if DECAY_GRADIENT:
            flow += tl.sum(q_tile.to(tl.float32) * dq_tile, 1)
            tl.store(flows + first + rows, flow, mask=first + rows < stop)
        dq_tile += tl.dot(scores.to(k_tile.dtype), k_tile, input_precision=PRECISION)
        store_rows(dq, H * K, first, rows, k_columns, stop, K, dq_tile)

        k_tile = scale_rows(k_tile, tl.exp2(total - c))
        S *= tl.exp2(total)
        S += tl.dot(tl.trans(v_tile), k_tile, input_precision=PRECISION, max_num_imprecise_acc=1)
        if DECAY_GRADIENT:  # noqa: SIM102 (decided at compile time)
            if (first - begin + CHUNK) % DRIFT == 0 or first + CHUNK >= stop:
                address = borders + ((first - begin) // DRIFT).to(tl.int64) * K * V + state_offsets
                tl.store(address, S, mask=state_valid)


@triton.jit(do_not_specialize=[*COUNTS, "n_borders"])
def key_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    u,  # [B, T, H, V], the gradient of o
    log_decay,  # [B, T, H] float32
    dk,  # [B, T, H, K] contiguous, written
    flows,  # [slices, B, H, T] float32, updated: minus flow from t to later chunks; or None
    borders,  # [B, H, borders, K, V] float32, from query_gradient; or None
    crossings,  # [slices, B, H, borders] float32, written: flow across each of these borders; or None
    adjoints,  # [B, segments, H, K, V] float32, at the end of each segment; or None for zeros
    q_strides,
    k_strides,
    v_strides,
    u_strides,
    decay_strides,
    scale,
    B,
    n_borders,
    T,
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    n_sequences,
    segment_length,
    n_segments,
    n_slices,
    K: tl.constexpr,
    V: tl.constexpr,
    DECAY_GRADIENT: tl.constexpr,
    DRIFT: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Writes dk for one slice of K of one segment, last chunk first.

    Its state R^T is the gradient of the state before the processed steps.
    """
    k_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    sequence, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    stream = (batch * H + head).to(tl.int64)
    rows = tl.arange(0, CHUNK)
    k_columns = k_slice * BLOCK_K + tl.arange(0, BLOCK_K)
    v_columns = tl.arange(0, BLOCK_V)
    state_valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    state_offsets = k_columns[None, :] * V + v_columns[:, None]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    u = head_rows(u, u_strides, batch, head)
    log_decay = head_rows(log_decay, decay_strides, batch, head)
    dk += (batch.to(tl.int64) * T * H + head) * K
    if DECAY_GRADIENT:
        flows += (k_slice.to(tl.int64) * B * H + stream) * T
        first_border = first_segment(sequence, begin, cu_seqlens, DRIFT)
        borders += (stream * n_borders + first_border) * K * V
        crossings += (k_slice.to(tl.int64) * B * H + stream) * n_borders + first_border

    if adjoints is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = adjoints + index * K * V + state_offsets
        R = tl.load(address, mask=state_valid, other=0.0)
    else:
        R = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)

    n_chunks = tl.cdiv(stop - start, CHUNK)
    for i in range(0, n_chunks):
        first = start + (n_chunks - 1 - i) * CHUNK
        q_tile = load_rows(q, q_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        u_tile = load_rows(u, u_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        c, total = chunk_decay(log_decay, decay_strides[1], first, rows, stop)

        R_tile, R_scale = operand(R, v_tile.dtype)
        if DECAY_GRADIENT:  # noqa: SIM102 (decided at compile time)
            if (first - begin + CHUNK) % DRIFT == 0 or first + CHUNK >= stop:
                # with R rounded as in the product below, so that the contributions of the last steps cancel
                border = (first - begin) // DRIFT
                address = borders + border.to(tl.int64) * K * V + state_offsets
                S = tl.load(address, mask=state_valid, other=0.0)
                tl.store(crossings + border, tl.sum(R_tile.to(tl.float32) * S) * R_scale)

        dk_tile = tl.dot(v_tile, R_tile, input_precision=PRECISION)
        dk_tile *= (tl.exp2(total - c) * R_scale)[:, None]
        if DECAY_GRADIENT:
            k_tile = load_rows(k, k_strides[1], first, rows, k_columns, stop, K)  # [C, K]
            flow = -tl.sum(k_tile.to(tl.float32) * dk_tile, 1)
            flow += tl.load(flows + first + rows, mask=first + rows < stop, other=0.0)
            tl.store(flows + first + rows, flow, mask=first + rows < stop)
        scores = tl.dot(v_tile, tl.trans(u_tile), input_precision=PRECISION)
        scores *= anticausal_weights(c, rows) * scale  # [key, query]
        dk_tile += tl.dot(scores.to(q_tile.dtype), q_tile, input_precision=PRECISION)
        store_rows(dk, H * K, first, rows, k_columns, stop, K, dk_tile)

        q_tile = scale_rows(q_tile, tl.exp2(c) * scale)
        R *= tl.exp2(total)
        R += tl.dot(tl.trans(u_tile), q_tile, input_precision=PRECISION, max_num_imprecise_acc=1)


@triton.jit(do_not_specialize=COUNTS)
def value_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    u,  # [B, T, H, V], the gradient of o
    log_decay,  # [B, T, H] float32
    dv,  # [B, T, H, V] contiguous, written
    initial_dS,  # [B, H, K, V] float32, written; or None
    adjoints,  # [B, segments, H, K, V] float32, at the end of each segment; or None for zeros
    q_strides,
    k_strides,
    u_strides,
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
    """Writes dv for one slice of V of one segment, last chunk first; its state is R^T, as in key_gradient."""
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
    state_offsets = k_columns[None, :] * V + v_columns[:, None]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    u = head_rows(u, u_strides, batch, head)
    log_decay = head_rows(log_decay, decay_strides, batch, head)
    dv += (batch.to(tl.int64) * T * H + head) * V

    if adjoints is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = adjoints + index * K * V + state_offsets
        R = tl.load(address, mask=state_valid, other=0.0)
    else:
        R = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)

    n_chunks = tl.cdiv(stop - start, CHUNK)
    for i in range(0, n_chunks):
        first = start + (n_chunks - 1 - i) * CHUNK
        q_tile = load_rows(q, q_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        k_tile = load_rows(k, k_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        c, total = chunk_decay(log_decay, decay_strides[1], first, rows, stop)

        scores = tl.dot(k_tile, tl.trans(q_tile), input_precision=PRECISION)
        scores *= anticausal_weights(c, rows) * scale  # [key, query]
        R_tile, R_scale = operand(R, k_tile.dtype)
        dv_tile = tl.dot(k_tile, tl.trans(R_tile), input_precision=PRECISION)
        dv_tile *= (tl.exp2(total - c) * R_scale)[:, None]
        u_tile = load_rows(u, u_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        dv_tile += tl.dot(scores.to(u_tile.dtype), u_tile, input_precision=PRECISION)
        store_rows(dv, H * V, first, rows, v_columns, stop, V, dv_tile)

        u_tile = scale_rows(u_tile, tl.exp2(c) * scale)
        R *= tl.exp2(total)
        R += tl.dot(tl.trans(u_tile), q_tile, input_precision=PRECISION, max_num_imprecise_acc=1)

    if initial_dS is not None:
        if cu_seqlens is not None:
            begin = tl.load(cu_seqlens + sequence)  # reloaded: keeping it through the loop spills a register
        if start == begin:
            index = (sequence * H + head).to(tl.int64)
            tl.store(initial_dS + index * K * V + state_offsets, R, mask=state_valid)


@triton.jit(do_not_specialize=["T", "n_sequences", "n_borders", "n_slices"])
def decay_gradient(
    flows,  # [slices, B, H, T] float32
    crossings,  # [slices, B, H, borders] float32
    dg,  # [B, T, H] float32 contiguous, written
    B,
    n_borders,
    T,
    H,
    cu_seqlens,  # [sequences + 1] int32; or None
    n_sequences,
    n_slices,
    DRIFT: tl.constexpr,
):
    """Writes dg for DRIFT steps: the flow across their end plus the sum of flows from each step on."""
    _, border, batch, head = locate(tl.program_id(0), 1, n_borders, H)
    _, _, end, start = segment_of(border, batch, T, cu_seqlens, n_sequences, DRIFT)
    stream = (batch * H + head).to(tl.int64)
    steps = start + tl.arange(0, DRIFT)
    flow = tl.zeros([DRIFT], tl.float32)
    crossing = 0.0
    for i in range(0, n_slices):
        index = stream + tl.cast(i, tl.int64) * B * H
        flow += tl.load(flows + index * T + steps, mask=steps < end, other=0.0)
        crossing += tl.load(crossings + index * n_borders + border)
    flow = tl.cumsum(flow, 0, reverse=True) + crossing
    tl.store(dg + (batch.to(tl.int64) * T + steps) * H + head, flow, mask=steps < end)
