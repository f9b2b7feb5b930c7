"""Kernels for the gradients of causal linear attention.

Each gradient is again causal linear attention, with other inputs and, for k and v, in reverse order. With
Q = phi(q), K = phi(k), g the gradient of o, d the denominators and delta_t = g_t . o_t (d = 1 and delta = 0
without the normaliser):

    dQ_t = (sum_{s <= t} (g_t . v_s - delta_t) K_s) / d_t
    dK_s =  sum_{t >= s} (g_t . v_s - delta_t) Q_t / d_t
    dv_s =  sum_{t >= s} (K_s . Q_t / d_t) g_t

so each kernel has one state in registers, and splits the columns of that state over programs: no sum crosses
programs, there are no atomics, and the gradients are bitwise reproducible. The transposed scores of dK and dv
are computed by separate products, because transposing an accumulator would go through shared memory.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

from linbench_kernels.triton.tile import (
    COUNTS,
    feature_slope,
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


@triton.jit
def load_query(q, stride, denominators, first, rows, columns, stop, K, FEATURE_MAP: tl.constexpr):
    """Returns phi(q) / d as an operand and its factor; `denominators` points to row 0 of a head, or None."""
    q_tile = load_features(q, stride, first, rows, columns, stop, K, FEATURE_MAP)
    if denominators is not None:
        d = tl.load(denominators + first + rows, mask=first + rows < stop, other=1.0)
        return operand(q_tile.to(tl.float32) / d[:, None], q_tile.dtype)
    else:
        return q_tile, 1.0


@triton.jit(do_not_specialize=["T"])
def dot_rows(
    x,  # [B, T, H, V]
    y,  # [B, T, H, V]
    products,  # [B, H, T] float32, written
    x_strides,
    y_strides,
    T,
    H,
    V: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_V: tl.constexpr,
):
    """Writes the dot product of each row of x with the same row of y; for g and o this is delta."""
    n_blocks = tl.cdiv(T, ROWS)
    _, block, batch, head = locate(tl.program_id(0), 1, n_blocks, H)
    first = block * ROWS
    rows = tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK_V)
    x_tile = load_rows(head_rows(x, x_strides, batch, head), x_strides[1], first, rows, columns, T, V)
    y_tile = load_rows(head_rows(y, y_strides, batch, head), y_strides[1], first, rows, columns, T, V)
    product = tl.sum(x_tile.to(tl.float32) * y_tile.to(tl.float32), 1)
    address = products + (batch * H + head).to(tl.int64) * T + first + rows
    tl.store(address, product, mask=first + rows < T)


@triton.jit(do_not_specialize=COUNTS)
def segment_adjoints(
    q,  # [B, T, H, K]
    g,  # [B, T, H, V]
    denominators,  # [B, H, T] float32; or None
    delta,  # [B, H, T] float32; or None
    adjoints,  # [B, segments, H, K, V] float32, written
    z_adjoints,  # [B, segments, H, K] float32, written
    q_strides,
    g_strides,
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
    """Writes a segment's part of the gradient of S, sum Q_t / d_t g_t^T, and of z, -sum Q_t / d_t delta_t."""
    v_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    _, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    stream = (batch * H + head).to(tl.int64)
    rows = tl.arange(0, CHUNK)
    k_columns = tl.arange(0, BLOCK_K)
    v_columns = v_slice * BLOCK_V + tl.arange(0, BLOCK_V)
    q = head_rows(q, q_strides, batch, head)
    g = head_rows(g, g_strides, batch, head)
    if denominators is not None:
        denominators += stream * T
        delta += stream * T

    R = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
    r = tl.zeros([BLOCK_K], tl.float32)
    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        q_tile, scale = load_query(
            q, q_strides[1], denominators, first, rows, k_columns, stop, K, FEATURE_MAP
        )
        g_tile = load_rows(g, g_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        R += tl.dot(tl.trans(g_tile), q_tile, input_precision=PRECISION, max_num_imprecise_acc=1) * scale
        if delta is not None:
            delta_row = tl.load(delta + first + rows, mask=first + rows < stop, other=0.0)
            r -= tl.sum(q_tile.to(tl.float32) * delta_row[:, None], 0) * scale

    index = ((batch * n_segments + item) * H + head).to(tl.int64)
    valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
    tl.store(adjoints + index * K * V + k_columns[None, :] * V + v_columns[:, None], R, mask=valid)
    if v_slice == 0:
        tl.store(z_adjoints + index * K + k_columns, r, mask=k_columns < K)


@triton.jit(do_not_specialize=COUNTS)
def query_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    g,  # [B, T, H, V]
    denominators,  # [B, H, T] float32; or None
    delta,  # [B, H, T] float32; or None
    dq,  # [B, T, H, K] contiguous, written
    states,  # [B, segments, H, K, V] float32, at the start of each segment; or None for zeros
    normalizers,  # [B, segments, H, K] float32; or None for zeros
    q_strides,
    k_strides,
    v_strides,
    g_strides,
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
    """Writes dq for one slice of K of one segment; its state is S^T."""
    k_slice, item, batch, head = locate(tl.program_id(0), n_slices, n_segments, H)
    _, begin, end, start = segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length)
    if cu_seqlens is not None:  # noqa: SIM102 (decided at compile time)
        if is_idle(begin, end, start):
            return
    stop = min(end, start + segment_length)
    stream = (batch * H + head).to(tl.int64)
    rows = tl.arange(0, CHUNK)
    k_columns = k_slice * BLOCK_K + tl.arange(0, BLOCK_K)
    v_columns = tl.arange(0, BLOCK_V)
    causal = rows[:, None] >= rows[None, :]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    g = head_rows(g, g_strides, batch, head)
    dq += (batch.to(tl.int64) * T * H + head) * K
    if denominators is not None:
        denominators += stream * T
        delta += stream * T

    if states is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
        address = states + index * K * V + k_columns[None, :] * V + v_columns[:, None]
        S = tl.load(address, mask=valid, other=0.0)
        z = tl.load(normalizers + index * K + k_columns, mask=k_columns < K, other=0.0)
    else:
        S = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
        z = tl.zeros([BLOCK_K], tl.float32)

    for i in range(0, tl.cdiv(stop - start, CHUNK)):
        first = start + i * CHUNK
        k_tile = load_features(k, k_strides[1], first, rows, k_columns, stop, K, FEATURE_MAP)  # [C, K]
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        g_tile = load_rows(g, g_strides[1], first, rows, v_columns, stop, V)  # [C, V]

        scores = tl.dot(g_tile, tl.trans(v_tile), input_precision=PRECISION)
        if delta is not None:
            delta_row = tl.load(delta + first + rows, mask=first + rows < stop, other=0.0)
            scores -= delta_row[:, None]
        scores = tl.where(causal, scores, 0.0)  # [C, C]
        dq_tile = tl.dot(scores.to(k_tile.dtype), k_tile, input_precision=PRECISION)
        S_tile, scale = operand(S, g_tile.dtype)
        dq_tile += tl.dot(g_tile, S_tile, input_precision=PRECISION) * scale
        if delta is not None:
            dq_tile -= delta_row[:, None] * z[None, :]
        if denominators is not None:
            d = tl.load(denominators + first + rows, mask=first + rows < stop, other=1.0)
            dq_tile /= d[:, None]
        q_tile = load_rows(q, q_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        dq_tile *= feature_slope(q_tile, FEATURE_MAP)
        store_rows(dq, H * K, first, rows, k_columns, stop, K, dq_tile)

        S += tl.dot(tl.trans(v_tile), k_tile, input_precision=PRECISION, max_num_imprecise_acc=1)
        z += sum_rows(k_tile, first + rows < stop)


@triton.jit(do_not_specialize=COUNTS)
def key_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    v,  # [B, T, H, V]
    g,  # [B, T, H, V]
    denominators,  # [B, H, T] float32; or None
    delta,  # [B, H, T] float32; or None
    dk,  # [B, T, H, K] contiguous, written
    initial_dz,  # [B, H, K] float32, written; or None
    adjoints,  # [B, segments, H, K, V] float32, at the end of each segment; or None for zeros
    z_adjoints,  # [B, segments, H, K] float32; or None for zeros
    q_strides,
    k_strides,
    v_strides,
    g_strides,
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
    """Writes dk for one slice of K of one segment, last chunk first; its state R is the gradient of S^T."""
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
    causal = rows[:, None] <= rows[None, :]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    v = head_rows(v, v_strides, batch, head)
    g = head_rows(g, g_strides, batch, head)
    dk += (batch.to(tl.int64) * T * H + head) * K
    if denominators is not None:
        denominators += stream * T
        delta += stream * T

    if adjoints is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        valid = (v_columns < V)[:, None] & (k_columns < K)[None, :]
        address = adjoints + index * K * V + k_columns[None, :] * V + v_columns[:, None]
        R = tl.load(address, mask=valid, other=0.0)
        r = tl.load(z_adjoints + index * K + k_columns, mask=k_columns < K, other=0.0)
    else:
        R = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)
        r = tl.zeros([BLOCK_K], tl.float32)

    n_chunks = tl.cdiv(stop - start, CHUNK)
    for i in range(0, n_chunks):
        first = start + (n_chunks - 1 - i) * CHUNK
        q_tile, q_scale = load_query(
            q, q_strides[1], denominators, first, rows, k_columns, stop, K, FEATURE_MAP
        )
        v_tile = load_rows(v, v_strides[1], first, rows, v_columns, stop, V)  # [C, V]
        g_tile = load_rows(g, g_strides[1], first, rows, v_columns, stop, V)  # [C, V]

        z_term = r  # from the steps after this chunk
        scores = tl.dot(v_tile, tl.trans(g_tile), input_precision=PRECISION)  # [key, query]
        if delta is not None:
            delta_row = tl.load(delta + first + rows, mask=first + rows < stop, other=0.0)
            r -= tl.sum(q_tile.to(tl.float32) * delta_row[:, None], 0) * q_scale
            scores -= delta_row[None, :]
        scores = tl.where(causal, scores, 0.0)
        dk_tile = tl.dot(scores.to(q_tile.dtype), q_tile, input_precision=PRECISION) * q_scale
        dk_tile += z_term[None, :]
        R_tile, scale = operand(R, v_tile.dtype)
        dk_tile += tl.dot(v_tile, R_tile, input_precision=PRECISION) * scale
        k_tile = load_rows(k, k_strides[1], first, rows, k_columns, stop, K)  # [C, K]
        dk_tile *= feature_slope(k_tile, FEATURE_MAP)
        store_rows(dk, H * K, first, rows, k_columns, stop, K, dk_tile)

        R += tl.dot(tl.trans(g_tile), q_tile, input_precision=PRECISION, max_num_imprecise_acc=1) * q_scale

    if initial_dz is not None:  # noqa: SIM102 (decided at compile time)
        if start == begin:
            index = (sequence * H + head).to(tl.int64)
            tl.store(initial_dz + index * K + k_columns, r, mask=k_columns < K)


@triton.jit(do_not_specialize=COUNTS)
def value_gradient(
    q,  # [B, T, H, K]
    k,  # [B, T, H, K]
    g,  # [B, T, H, V]
    denominators,  # [B, H, T] float32; or None
    dv,  # [B, T, H, V] contiguous, written
    initial_dS,  # [B, H, K, V] float32, written; or None
    adjoints,  # [B, segments, H, K, V] float32, at the end of each segment; or None for zeros
    q_strides,
    k_strides,
    g_strides,
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
    """Writes dv for one slice of V of one segment, last chunk first; its state R is the gradient of S^T."""
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
    causal = rows[:, None] <= rows[None, :]
    q = head_rows(q, q_strides, batch, head)
    k = head_rows(k, k_strides, batch, head)
    g = head_rows(g, g_strides, batch, head)
    dv += (batch.to(tl.int64) * T * H + head) * V
    if denominators is not None:
        denominators += stream * T

    if adjoints is not None:
        index = ((batch * n_segments + item) * H + head).to(tl.int64)
        address = adjoints + index * K * V + k_columns[None, :] * V + v_columns[:, None]
        R = tl.load(address, mask=state_valid, other=0.0)
    else:
        R = tl.zeros([BLOCK_V, BLOCK_K], tl.float32)

    n_chunks = tl.cdiv(stop - start, CHUNK)
    for i in range(0, n_chunks):
        first = start + (n_chunks - 1 - i) * CHUNK
        q_tile, q_scale = load_query(
            q, q_strides[1], denominators, first, rows, k_columns, stop, K, FEATURE_MAP
        )
        k_tile = load_features(k, k_strides[1], first, rows, k_columns, stop, K, FEATURE_MAP)  # [C, K]
        g_tile = load_rows(g, g_strides[1], first, rows, v_columns, stop, V)  # [C, V]

        scores = tl.dot(k_tile, tl.trans(q_tile), input_precision=PRECISION)  # [key, query]
        scores = tl.where(causal, scores, 0.0)
        dv_tile = tl.dot(scores.to(g_tile.dtype), g_tile, input_precision=PRECISION) * q_scale
        R_tile, scale = operand(R, k_tile.dtype)
        dv_tile += tl.dot(k_tile, tl.trans(R_tile), input_precision=PRECISION) * scale
        store_rows(dv, H * V, first, rows, v_columns, stop, V, dv_tile)

        R += tl.dot(tl.trans(g_tile), q_tile, input_precision=PRECISION, max_num_imprecise_acc=1) * q_scale

    if initial_dS is not None:  # noqa: SIM102 (decided at compile time)
        if start == begin:
            index = (sequence * H + head).to(tl.int64)
            address = initial_dS + index * K * V + k_columns[None, :] * V + v_columns[:, None]
            tl.store(address, R, mask=state_valid)
