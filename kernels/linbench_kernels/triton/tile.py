"""Device functions shared by attention kernels: segments, addressing, feature maps, operands of products."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import triton
import triton.language as tl

COUNTS = [
    "T",
    "n_sequences",
    "segment_length",
    "n_segments",
    "n_slices",
]  # kernels are not specialised for their values


@triton.jit
def locate(program, n_slices, n_segments, H):
    """Returns (slice, segment, batch, head) of a program; slices vary fastest, so they share rows in L2."""
    stream = program // (n_slices * n_segments)
    return program % n_slices, program // n_slices % n_segments, stream // H, stream % H


@triton.jit
def segment_of(item, batch, T, cu_seqlens, n_sequences, segment_length):
    """Returns the sequence of a segment, the begin and end of that sequence, and the start of the segment.

    Without cu_seqlens, each row of the batch is a sequence, and item is the index of its segment. With
    cu_seqlens, all sequences are in one row, sequence i from step cu_seqlens[i] to cu_seqlens[i + 1], and
    item counts the segments of all sequences: those of sequence i start at
    cu_seqlens[i] // segment_length + i. This is enough for the steps of each sequence, and leaves one segment
    for an empty one; the number of segments depends only on T, and some segments have no work: see `is_idle`.
    """
    if cu_seqlens is None:
        return batch, 0, T, item * segment_length
    else:
        sequence = 0
        after = n_sequences
        while after - sequence > 1:
            middle = (sequence + after) // 2
            reached = tl.load(cu_seqlens + middle) // segment_length + middle <= item
            sequence = tl.where(reached, middle, sequence)
            after = tl.where(reached, after, middle)
        begin = tl.load(cu_seqlens + sequence)
        segment = item - first_segment(sequence, begin, cu_seqlens, segment_length)
        return sequence, begin, tl.load(cu_seqlens + sequence + 1), begin + segment * segment_length


@triton.jit
def is_idle(begin, end, start):
    """Returns whether a segment is past its sequence; the first one never is, so it passes on the state."""
    return (start > begin) & (start >= end)


@triton.jit
def first_segment(sequence, begin, cu_seqlens, segment_length):
    """Returns the first segment of a sequence in its row of the batch."""
    if cu_seqlens is None:
        return 0
    else:
        return begin // segment_length + sequence


@triton.jit
def segments_of(sequence, cu_seqlens, segment_length, n_segments):
    """Returns the first segment of a sequence, counted over the batch, and the number with work."""
    if cu_seqlens is None:
        return sequence * n_segments, n_segments
    else:
        begin = tl.load(cu_seqlens + sequence)
        steps = tl.load(cu_seqlens + sequence + 1) - begin
        return begin // segment_length + sequence, tl.maximum(tl.cdiv(steps, segment_length), 1)


@triton.jit
def head_rows(pointer, strides, batch, head):
    """Returns the address of row 0 of one head; strides are those of (batch, time, head), in elements."""
    return pointer + batch.to(tl.int64) * strides[0] + head.to(tl.int64) * strides[2]


@triton.jit
def load_rows(pointer, stride, first, rows, columns, n_rows, n_columns):
    """Returns the tile [rows, columns] of the matrix at `pointer` from row `first`, zero outside the matrix.

    Only the scalar offset of the tile is 64 bits wide; offsets within a tile fit in 32.
    """
    valid = (first + rows < n_rows)[:, None] & (columns < n_columns)[None, :]
    base = pointer + first.to(tl.int64) * stride
    return tl.load(base + rows[:, None] * stride + columns[None, :], mask=valid, other=0.0)


@triton.jit
def store_rows(pointer, stride, first, rows, columns, n_rows, n_columns, tile):
    """Stores a float32 tile at the address of `load_rows`, rounded to the dtype of the matrix."""
    valid = (first + rows < n_rows)[:, None] & (columns < n_columns)[None, :]
    base = pointer + first.to(tl.int64) * stride
    address = base + rows[:, None] * stride + columns[None, :]
    tl.store(address, tile.to(pointer.dtype.element_ty), mask=valid)


@triton.jit
def feature_map(x, FEATURE_MAP: tl.constexpr):
    """Returns phi(x): elu(x) + 1 in float32, relu(x) or x."""
    if FEATURE_MAP == "elu1":
        wide = x.to(tl.float32)
        return tl.where(wide > 0, wide + 1, tl.exp(wide))
    elif FEATURE_MAP == "relu":
        return tl.where(x < 0, 0.0, x)  # propagates NaN, unlike tl.maximum
    else:
        return x


@triton.jit
def load_features(pointer, stride, first, rows, columns, n_rows, n_columns, FEATURE_MAP: tl.constexpr):
    """Returns phi of a tile, in the dtype of the matrix; zero in columns, but not rows, outside the matrix.

    Rows need no mask, which would cost one register per element: in every product, rows past the end of the
    sequence are multiplied by a zero (of v, g, delta or the causal mask).
    """
    x = load_rows(pointer, stride, first, rows, columns, n_rows, n_columns)
    phi = feature_map(x, FEATURE_MAP)
    if x.shape[1] != n_columns:
        phi = tl.where((columns < n_columns)[None, :], phi, 0.0)
    return phi.to(x.dtype)


@triton.jit
def sum_rows(x, valid):
    """Returns the sum of the valid rows of a tile, in float32."""
    return tl.sum(tl.where(valid[:, None], x.to(tl.float32), 0.0), 0)


@triton.jit
def feature_slope(x, FEATURE_MAP: tl.constexpr):
    """Returns phi'(x) in float32."""
    wide = x.to(tl.float32)
    if FEATURE_MAP == "elu1":
        return tl.where(wide > 0, 1.0, tl.exp(wide))
    elif FEATURE_MAP == "relu":
        return tl.where(wide > 0, 1.0, 0.0)
    else:
        return tl.full(x.shape, 1.0, tl.float32)


@triton.jit
def operand(x, dtype: tl.constexpr):
    """Returns a float32 tile as an operand of dtype for a product, and the factor to multiply the product by.

    A float16 operand is divided by its largest element: with T, states grow and weights shrink, beyond the
    range of float16 (65504 and 6e-8) at practical lengths. The other dtypes have the range of float32.
    """
    if dtype == tl.float16:
        largest = tl.max(tl.abs(x))
        scale = tl.where(largest > 0, largest, 1.0)
        return (x / scale).to(dtype), scale
    else:
        return x.to(dtype), 1.0
