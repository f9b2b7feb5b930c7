// float32 with plain FMA: the state in shared memory, every product formed by the whole block.

#pragma once

#include "linear_attention_tiles.h"

// sum_i a(row, i) b(i, column) of every element of a ROWS x COLUMNS tile, handed to `store(row, column, sum)`. A thread
// forms 4 x 4 of them, spread out so that the lanes of a warp read neighbouring columns.
template <int ROWS, int COLUMNS, int INNER, class A, class B, class Store>
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

template <bool WITH_OUTPUT>
__device__ inline void run_segment(Shared& shared, const Segment& segment, const float* S_in, const float* z_in,
                                   float* S_out, float* z_out) {
    float *S = shared.S, *scores = shared.scores;
    S_in += S_in ? segment.state * K * V + segment.v0 : 0;
    for (int i = threadIdx.x; i < K * V_SLICE; i += THREADS)
        S[i] = S_in ? S_in[i / V_SLICE * V + i % V_SLICE] : 0.f;
    for (int i = threadIdx.x; i < K; i += THREADS) shared.z[i] = z_in ? z_in[segment.state * K + i] : 0.f;

    load_chunk<WITH_OUTPUT>(shared.stages[0], segment, 0);
    for (int first = 0; first < segment.tokens; first += CHUNK) {
        const Stage& stage = next_stage<WITH_OUTPUT>(shared, segment, first);
        const float *q = stage.q, *k = stage.k, *v = stage.v;
        if (WITH_OUTPUT) {
            product<CHUNK, CHUNK, K>([&](int row, int i) { return q[row * QK_STRIDE + i]; },
                                     [&](int i, int column) { return k[column * QK_STRIDE + i]; },
                                     [&](int row, int column, float sum) {
                                         scores[row * SCORE_STRIDE + column] = column <= row ? sum : 0.f;
                                     });
            __syncthreads();
            {   // Four neighbouring lanes share a row.
                static_assert(THREADS == 4 * CHUNK, "a thread takes a quarter of a row");
                const int row = threadIdx.x / 4;
                float sum = 0.f;
                for (int i = threadIdx.x % 4; i < CHUNK; i += 4) sum += scores[row * SCORE_STRIDE + i];
                for (int i = threadIdx.x % 4; i < K; i += 4) sum = fmaf(q[row * QK_STRIDE + i], shared.z[i], sum);
                sum += __shfl_xor_sync(0xffffffffu, sum, 1);
                sum += __shfl_xor_sync(0xffffffffu, sum, 2);
                shared.inverse[row] = NORMALIZE ? 1.f / (sum + EPSILON) : 1.f;
            }
            __syncthreads();
            // One product over the joined inner axis [q | A] [S ; v].
            product<CHUNK, V_SLICE, K + CHUNK>(
                [&](int row, int i) { return i < K ? q[row * QK_STRIDE + i] : scores[row * SCORE_STRIDE + i - K]; },
                [&](int i, int column) { return i < K ? S[i * V_SLICE + column] : v[(i - K) * V_STRIDE + column]; },
                [&](int row, int column, float sum) {
                    if (first + row < segment.tokens)
                        segment.o[(first + row) * segment.v_stride + column] = sum * shared.inverse[row];
                });
            __syncthreads();  // S and z are read; now they change
        }
        product<K, V_SLICE, CHUNK>([&](int row, int i) { return k[i * QK_STRIDE + row]; },
                                   [&](int i, int column) { return v[i * V_STRIDE + column]; },
                                   [&](int row, int column, float sum) { S[row * V_SLICE + column] += sum; });
        for (int column = threadIdx.x; column < K; column += THREADS) {
            float sum = 0.f;
            for (int i = 0; i < CHUNK; ++i) sum += k[i * QK_STRIDE + column];
            shared.z[column] += sum;
        }
    }

    __syncthreads();
    if (!S_out) return;
    S_out += segment.state * K * V + segment.v0;
    for (int i = threadIdx.x; i < K * V_SLICE; i += THREADS) S_out[i / V_SLICE * V + i % V_SLICE] = S[i];
    for (int i = threadIdx.x; i < K && segment.slice == 0; i += THREADS)
        z_out[segment.state * K + i] = shared.z[i];
}
