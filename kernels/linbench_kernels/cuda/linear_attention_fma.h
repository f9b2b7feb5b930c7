// float32 with plain FMA: the state is in shared memory, and the whole block computes each product.

#pragma once

#include "linear_attention_tiles.h"

// Computes sum_i a(row, i) b(i, column) for every element of a ROWS x COLUMNS tile, and calls store(row, column, sum).
// Each thread computes 4 x 4 elements, spaced so that the lanes of a warp read neighbouring columns.
template <int ROWS, int COLUMNS, int INNER, int THREADS, class A, class B, class Store>
__device__ inline void product(A a, B b, Store store) {
    constexpr int ROW_STEP = ROWS / 4, COLUMN_STEP = COLUMNS / 4;
    for (int tile = threadIdx.x; tile < ROW_STEP * COLUMN_STEP; tile += THREADS) {
        const int row = tile / COLUMN_STEP, column = tile % COLUMN_STEP;
        float sum[4][4] = {};
#pragma unroll 4
        for (int i = 0; i < INNER; ++i) {
            float left[4], right[4];
            for (int n = 0; n < 4; ++n) left[n] = a(row + n * ROW_STEP, i);
            for (int n = 0; n < 4; ++n) right[n] = b(i, column + n * COLUMN_STEP);
            for (int r = 0; r < 4; ++r)
                for (int c = 0; c < 4; ++c) sum[r][c] = fmaf(left[r], right[c], sum[r][c]);
        }
        for (int r = 0; r < 4; ++r)
            for (int c = 0; c < 4; ++c) store(row + r * ROW_STEP, column + c * COLUMN_STEP, sum[r][c]);
    }
}

// Step 3: the masked scores A = x y^T, and the inverse denominators.
template <class Role>
__device__ inline void score(Shared<Role>& shared, Stage<Role>& stage) {
    constexpr int INNER = Role::INNER, STRIDE = Role::INNER_STRIDE;
    float* scores = shared.scores;
    product<CHUNK, CHUNK, INNER, Role::THREADS>(
        [&](int row, int i) { return stage.x[row * STRIDE + i]; },
        [&](int i, int column) { return stage.y[column * STRIDE + i]; },
        [&](int row, int column, float sum) {
            if (Role::READS_DELTAS) sum -= stage.deltas[Role::REVERSE ? column : row];
            const bool visible = Role::REVERSE ? column >= row : column <= row;
            scores[row * SCORE_STRIDE + column] = visible ? sum : 0.f;
        });
    __syncthreads();
    if (!Role::NORMALIZES) return;
    static_assert(Role::THREADS == 4 * CHUNK, "each thread sums a quarter of a row");  // four neighbours share it
    const int row = threadIdx.x / 4;
    float sum = 0.f;
    for (int i = threadIdx.x % 4; i < CHUNK; i += 4) sum += scores[row * SCORE_STRIDE + i];
    for (int i = threadIdx.x % 4; i < INNER; i += 4) sum = fmaf(stage.x[row * STRIDE + i], shared.z[i], sum);
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    stage.inverses[row] = 1.f / (sum + EPSILON);
    __syncthreads();
}

// Step 4: one product over the concatenated inner axis [x | A] [R ; w].
template <class Role>
__device__ inline void write_output(const Shared<Role>& shared, const Chunk<Role>& chunk,
                                    const Segment<Role>& segment) {
    constexpr int INNER = Role::INNER, SLICE = Role::SLICE;
    const Stage<Role>& stage = chunk.stage;
    product<CHUNK, SLICE, INNER + CHUNK, Role::THREADS>(
        [&](int row, int i) {
            return i < INNER ? stage.x[row * Role::INNER_STRIDE + i] : shared.scores[row * SCORE_STRIDE + i - INNER];
        },
        [&](int i, int column) {
            return i < INNER ? shared.R[i * SLICE + column] : stage.w[(i - INNER) * Role::OUTER_STRIDE + column];
        },
        [&](int row, int column, float o) {
            if (row >= chunk.valid) return;
            const long long offset = (chunk.first + row) * segment.outer_stride + column;
            if (Role::NORMALIZES) o *= stage.inverses[row];
            if (Role::TRANSPOSE && Role::REVERSE) o += shared.z[column];
            if (Role::TRANSPOSE && !Role::REVERSE && NORMALIZE)
                o = (o - stage.deltas[row] * shared.z[column]) * stage.inverses[row];
            if (Role::TRANSPOSE) o *= feature_slope(segment.argument[offset]);
            segment.out[offset] = o;
        });
    __syncthreads();  // all threads have read R and z, which now change
}

// Step 5: R += y^T w, and z += y, z += w or r -= delta w.
template <class Role>
__device__ inline void update_state(Shared<Role>& shared, const Stage<Role>& stage) {
    constexpr int SLICE = Role::SLICE;
    product<Role::INNER, SLICE, CHUNK, Role::THREADS>(
        [&](int row, int i) { return stage.y[i * Role::INNER_STRIDE + row]; },
        [&](int i, int column) { return stage.w[i * Role::OUTER_STRIDE + column]; },
        [&](int row, int column, float sum) { shared.R[row * SLICE + column] += sum; });
    if (!Role::FORWARD && !Role::READS_DELTAS) return;
    constexpr int WIDTH = Role::TRANSPOSE ? SLICE : K, STRIDE = WIDTH + VECTOR;
    const float* rows = Role::TRANSPOSE ? stage.w : stage.y;
    for (int column = threadIdx.x; column < WIDTH; column += Role::THREADS) {
        float sum = 0.f;
        for (int i = 0; i < CHUNK; ++i) sum += rows[i * STRIDE + column] * (Role::REVERSE ? -stage.deltas[i] : 1.f);
        shared.z[column] += sum;
    }
}

template <class Role>
__device__ inline void run_segment(Shared<Role>& shared, const Segment<Role>& segment, const float* S_in,
                                   const float* z_in, float* S_out, float* z_out) {
    constexpr int INNER = Role::INNER, SLICE = Role::SLICE, THREADS = Role::THREADS;
    constexpr int Z_WIDTH = Role::TRANSPOSE ? SLICE : K;
    const auto address = [&](int i) {
        return segment.state * K * V + Role::address(i / SLICE, segment.first_column + i % SLICE);
    };
    const long long z_address = segment.state * K + (Role::TRANSPOSE ? segment.first_column : 0);
    for (int i = threadIdx.x; i < INNER * SLICE; i += THREADS) shared.R[i] = S_in ? S_in[address(i)] : 0.f;
    for (int i = threadIdx.x; i < Z_WIDTH; i += THREADS) shared.z[i] = z_in ? z_in[z_address + i] : 0.f;

    load_chunk(shared.stages[0], segment, first_token(segment, 0));
    for (int index = 0; index * CHUNK < segment.tokens; ++index) {
        const Chunk<Role> chunk = next_chunk(shared, segment, index);
        if (Role::OUTPUT) {
            score(shared, chunk.stage);
            if (Role::NORMALIZES) store_inverses(chunk, segment);
            write_output(shared, chunk, segment);
        }
        update_state(shared, chunk.stage);
    }

    __syncthreads();
    if (S_out)
        for (int i = threadIdx.x; i < INNER * SLICE; i += THREADS) S_out[address(i)] = shared.R[i];
    if (!z_out || (!Role::TRANSPOSE && segment.slice > 0)) return;
    for (int i = threadIdx.x; i < Z_WIDTH; i += THREADS) z_out[z_address + i] = shared.z[i];
}
