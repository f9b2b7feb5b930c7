// float16 and bfloat16 on tensor cores (mma.sync m16n8k16, float32 accumulators): the state in registers.
//
// Warp w owns 16 columns of V and keeps S^T there as accumulator fragments. The accumulator layout of S^T is the
// B-operand layout of S, so q S reads the state from registers and no state ever passes through shared memory.

#pragma once

#include "linear_attention_tiles.h"

__device__ inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    if constexpr (DTYPE == FLOAT16) mma_f16(d, a, b0, b1);
    else mma_bf16(d, a, b0, b1);
}

// Where a lane finds its part of a fragment: `group` is its row (of eight), `pair` its pair of columns (of four).
struct Lane {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4;
    // Rows r0..r0+15, columns c0..c0+15 of a row-major tile: registers in the order (top, left), (bottom, left),
    // (top, right), (bottom, right): an A operand; transposed, two B operands {0, 1} and {2, 3} with the rows inner.
    __device__ const element* tile(const element* tile, int stride, int r0, int c0) const {
        return tile + (r0 + lane % 16) * stride + c0 + lane / 16 * 8;
    }
    // The same with (top, right) second: untransposed, two B operands {0, 1} and {2, 3} with the columns inner.
    __device__ const element* columns_inner(const element* tile, int stride, int r0, int c0) const {
        return tile + (r0 + lane / 16 * 8 + lane % 8) * stride + c0 + lane / 8 % 2 * 8;
    }
};

// Step 3: A = tril(q k^T), 16 rows to a warp, only the tiles at and below the diagonal; inverse denominators.
__device__ inline void score_rows(Shared& shared, const Stage& stage, const Lane& lane, int row_tile) {
    unsigned q[K / 16][4];
    float denominator[2] = {};  // of rows group and group + 8: this lane's part
#pragma unroll
    for (int i = 0; i < K / 16; ++i) {
        load_matrices(q[i], lane.tile(stage.q, QK_STRIDE, 16 * row_tile, 16 * i));
        if (!NORMALIZE) continue;
#pragma unroll
        for (int part = 0; part < 4; ++part) {
            const float2 x = unpack(q[i][part]);
            const float* z = shared.z + 16 * i + part / 2 * 8 + 2 * lane.pair;
            denominator[part % 2] += x.x * z[0] + x.y * z[1];
        }
    }
    const int row = 16 * row_tile + lane.group;
    for (int key_tile = 0; key_tile <= row_tile; ++key_tile) {
        float scores[2][4] = {};
#pragma unroll
        for (int i = 0; i < K / 16; ++i) {
            unsigned k[4];
            load_matrices(k, lane.columns_inner(stage.k, QK_STRIDE, 16 * key_tile, 16 * i));
            mma(scores[0], q[i], k[0], k[1]);
            mma(scores[1], q[i], k[2], k[3]);
        }
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            const int column = 16 * key_tile + 8 * n + 2 * lane.pair;
            for (int i = 0; i < 4; ++i)
                if (column + i % 2 > row + i / 2 * 8) scores[n][i] = 0.f;
            for (int half = 0; half < 2; ++half) {
                const float low = scores[n][2 * half], high = scores[n][2 * half + 1];
                element* out = shared.scores + (row + 8 * half) * SCORE_STRIDE + column;
                *reinterpret_cast<unsigned*>(out) = pack(low, high);
                denominator[half] += low + high;
            }
        }
    }
    if (!NORMALIZE) return;
    for (int half = 0; half < 2; ++half) {
        float sum = denominator[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (lane.pair == 0) shared.inverse[row + 8 * half] = 1.f / (sum + EPSILON);
    }
}

// The factor that brings a warp's state within float16, whose largest number is 65504. bfloat16 needs none.
__device__ inline float scale_to_fit(const float (&state)[K / 8][4]) {
    if (DTYPE != FLOAT16) return 1.f;
    constexpr float BOUND = 16384.f;
    float largest = 0.f;
#pragma unroll
    for (int i = 0; i < K / 2; ++i) largest = fmaxf(largest, fabsf(state[i / 4][i % 4]));
    for (int distance = 16; distance > 0; distance /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    return largest > BOUND ? BOUND / largest : 1.f;
}

// Step 4: o = (q S + A v) * inverse for the warp's 16 columns, all rows of the chunk.
__device__ inline void write_output(const Shared& shared, const Stage& stage, const Segment& segment, const Lane& lane,
                                    int first, const float (&state)[K / 8][4], const unsigned (&v)[CHUNK / 16][4]) {
    float o[CHUNK / 16][2][4] = {};
    const float scale = scale_to_fit(state), unscale = 1.f / scale;
#pragma unroll
    for (int i = 0; i < K / 16; ++i) {
        const float(&left)[4] = state[2 * i], (&right)[4] = state[2 * i + 1];
        const unsigned S[4] = {pack(left[0] * scale, left[1] * scale), pack(right[0] * scale, right[1] * scale),
                               pack(left[2] * scale, left[3] * scale), pack(right[2] * scale, right[3] * scale)};
#pragma unroll
        for (int row_tile = 0; row_tile < CHUNK / 16; ++row_tile) {
            unsigned q[4];
            load_matrices(q, lane.tile(stage.q, QK_STRIDE, 16 * row_tile, 16 * i));
            mma(o[row_tile][0], q, S[0], S[1]);
            mma(o[row_tile][1], q, S[2], S[3]);
        }
    }
#pragma unroll
    for (int row_tile = 0; row_tile < CHUNK / 16; ++row_tile) {
        for (int i = 0; i < 8; ++i) o[row_tile][i / 4][i % 4] *= unscale;
#pragma unroll
        for (int key_tile = 0; key_tile <= row_tile; ++key_tile) {
            unsigned scores[4];
            load_matrices(scores, lane.tile(shared.scores, SCORE_STRIDE, 16 * row_tile, 16 * key_tile));
            mma(o[row_tile][0], scores, v[key_tile][0], v[key_tile][1]);
            mma(o[row_tile][1], scores, v[key_tile][2], v[key_tile][3]);
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = 16 * row_tile + 8 * half + lane.group;
            if (first + row >= segment.tokens) continue;
            const float inverse = NORMALIZE ? shared.inverse[row] : 1.f;
            element* out = segment.o + (first + row) * segment.v_stride + 16 * lane.warp + 2 * lane.pair;
            for (int n = 0; n < 2; ++n)
                *reinterpret_cast<unsigned*>(out + 8 * n) =
                    pack(o[row_tile][n][2 * half] * inverse, o[row_tile][n][2 * half + 1] * inverse);
        }
    }
}

// Step 5: S^T += v^T k for the warp's 16 columns. z is the state of a value that is always one: every warp takes a
// share of it, with a fragment of ones in the place of v^T.
__device__ inline void update_state(Shared& shared, const Stage& stage, const Lane& lane, float (&state)[K / 8][4],
                                    const unsigned (&v)[CHUNK / 16][4]) {
    const unsigned one = pack(1.f, 1.f), ones[4] = {one, one, one, one};
#pragma unroll
    for (int i = 0; i < K / 16; ++i) {
        float sum[2][4] = {}, z_sum[2][4] = {};
        const bool owns_z = i % WARPS == lane.warp;
#pragma unroll
        for (int token_tile = 0; token_tile < CHUNK / 16; ++token_tile) {
            unsigned k[4];
            load_matrices_transposed(k, lane.tile(stage.k, QK_STRIDE, 16 * token_tile, 16 * i));
            const unsigned(&b)[4] = v[token_tile];
            const unsigned v_transposed[4] = {b[0], b[2], b[1], b[3]};
            mma(sum[0], v_transposed, k[0], k[1]);
            mma(sum[1], v_transposed, k[2], k[3]);
            if (owns_z) mma(z_sum[0], ones, k[0], k[1]);
            if (owns_z) mma(z_sum[1], ones, k[2], k[3]);
        }
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            for (int j = 0; j < 4; ++j) state[2 * i + n][j] += sum[n][j];
            if (owns_z && lane.group == 0)
                for (int j = 0; j < 2; ++j) shared.z[16 * i + 8 * n + 2 * lane.pair + j] += z_sum[n][j];
        }
    }
}

template <bool WITH_OUTPUT>
__device__ inline void run_segment(Shared& shared, const Segment& segment, const float* S_in, const float* z_in,
                                   float* S_out, float* z_out) {
    const Lane lane;
    // state[i][j] is S[8 i + 2 pair + j % 2][column + 8 (j / 2)]
    const long long column = segment.state * K * V + segment.v0 + 16 * lane.warp + lane.group;
    const auto address = [&](int i, int j) { return column + (8 * i + 2 * lane.pair + j % 2) * V + j / 2 * 8; };
    float state[K / 8][4];
#pragma unroll
    for (int i = 0; i < K / 2; ++i) state[i / 4][i % 4] = S_in ? S_in[address(i / 4, i % 4)] : 0.f;
    for (int i = threadIdx.x; i < K; i += THREADS) shared.z[i] = z_in ? z_in[segment.state * K + i] : 0.f;

    load_chunk<WITH_OUTPUT>(shared.stages[0], segment, 0);
    for (int first = 0; first < segment.tokens; first += CHUNK) {
        const Stage& stage = next_stage<WITH_OUTPUT>(shared, segment, first);
        if (WITH_OUTPUT) {
            for (int row_tile = lane.warp; row_tile < CHUNK / 16; row_tile += WARPS)
                score_rows(shared, stage, lane, row_tile);
            __syncthreads();
        }
        unsigned v[CHUNK / 16][4];  // B operand of A v; with registers 1 and 2 swapped, A operand of v^T k
#pragma unroll
        for (int i = 0; i < CHUNK / 16; ++i)
            load_matrices_transposed(v[i], lane.tile(stage.v, V_STRIDE, 16 * i, 16 * lane.warp));
        if (WITH_OUTPUT) write_output(shared, stage, segment, lane, first, state, v);
        update_state(shared, stage, lane, state, v);
    }

    __syncthreads();
    if (!S_out) return;
#pragma unroll
    for (int i = 0; i < K / 2; ++i) S_out[address(i / 4, i % 4)] = state[i / 4][i % 4];
    for (int i = threadIdx.x; i < K && segment.slice == 0; i += THREADS)
        z_out[segment.state * K + i] = shared.z[i];
}
