// float16 and bfloat16 on tensor cores (mma.sync m16n8k16, float32 accumulators): the state is in registers.
//
// Warp w owns 16 columns of OUTER and holds their part of R^T as accumulator fragments. The accumulator layout of R^T
// is the B-operand layout of R, so x R reads the state from registers and never moves it through shared memory.

#pragma once

#include "linear_attention_tiles.h"

template <class Role>
using State = float[Role::INNER / 8][4];  // R of this warp's columns
using Values = unsigned[CHUNK / 16][4];   // w of this warp's columns: B operand of A w; with registers 1 and 2
                                          // swapped, A operand of w^T y

__device__ inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    if constexpr (DTYPE == FLOAT16) mma_f16(d, a, b0, b1);
    else mma_bf16(d, a, b0, b1);
}

// The part of a fragment that a lane holds: `group` is its row (of eight), `pair` its pair of columns (of four).
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

// The range of key tiles that a tile of rows uses: up to its own index, or in reverse from its own index on.
template <class Role>
__device__ inline int first_key_tile(int row_tile) { return Role::REVERSE ? row_tile : 0; }
template <class Role>
__device__ inline int end_of_key_tiles(int row_tile) { return Role::REVERSE ? CHUNK / 16 : row_tile + 1; }

// Step 3: the masked scores A = x y^T, 16 rows per warp, only the tiles on one side of the diagonal; and the inverse
// denominators.
template <class Role>
__device__ inline void score_rows(Shared<Role>& shared, Stage<Role>& stage, const Lane& lane, int row_tile) {
    constexpr int INNER = Role::INNER, STRIDE = Role::INNER_STRIDE;
    unsigned x[INNER / 16][4];
    float denominator[2] = {};  // this lane's part for rows group and group + 8
#pragma unroll
    for (int i = 0; i < INNER / 16; ++i) {
        load_matrices(x[i], lane.tile(stage.x, STRIDE, 16 * row_tile, 16 * i));
        if (!Role::NORMALIZES) continue;
#pragma unroll
        for (int part = 0; part < 4; ++part) {
            const float2 q = unpack(x[i][part]);
            const float* z = shared.z + 16 * i + part / 2 * 8 + 2 * lane.pair;
            denominator[part % 2] += q.x * z[0] + q.y * z[1];
        }
    }
    const int row = 16 * row_tile + lane.group;
    for (int key_tile = first_key_tile<Role>(row_tile); key_tile < end_of_key_tiles<Role>(row_tile); ++key_tile) {
        float scores[2][4] = {};
#pragma unroll
        for (int i = 0; i < INNER / 16; ++i) {
            unsigned y[4];
            load_matrices(y, lane.columns_inner(stage.y, STRIDE, 16 * key_tile, 16 * i));
            mma(scores[0], x[i], y[0], y[1]);
            mma(scores[1], x[i], y[2], y[3]);
        }
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            const int column = 16 * key_tile + 8 * n + 2 * lane.pair;
            for (int i = 0; i < 4; ++i) {
                const int this_row = row + i / 2 * 8, this_column = column + i % 2;
                if (Role::READS_DELTAS) scores[n][i] -= stage.deltas[Role::REVERSE ? this_column : this_row];
                if (Role::REVERSE ? this_column < this_row : this_column > this_row) scores[n][i] = 0.f;
            }
            for (int half = 0; half < 2; ++half) {
                const float low = scores[n][2 * half], high = scores[n][2 * half + 1];
                element* out = shared.scores + (row + 8 * half) * SCORE_STRIDE + column;
                *reinterpret_cast<unsigned*>(out) = pack(low, high);
                denominator[half] += low + high;
            }
        }
    }
    if (!Role::NORMALIZES) return;
    for (int half = 0; half < 2; ++half) {
        float sum = denominator[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (lane.pair == 0) stage.inverses[row + 8 * half] = 1.f / (sum + EPSILON);
    }
}

// Returns the factor that scales a warp's state into the upper range of float16, whose largest number is 65504: with T,
// sums grow and adjoints shrink beyond the range. bfloat16 needs no factor.
template <int TILES>
__device__ inline float scale_to_fit(const float (&state)[TILES][4]) {
    if (DTYPE != FLOAT16) return 1.f;
    constexpr float BOUND = 16384.f, SMALLEST = 1e-30f;
    float largest = 0.f;
#pragma unroll
    for (int i = 0; i < 4 * TILES; ++i) largest = fmaxf(largest, fabsf(state[i / 4][i % 4]));
    return BOUND / fmaxf(warp_max(largest), SMALLEST);
}

// Applies the final operations of Role to two neighbouring columns of a row of x R + A w.
template <class Role>
__device__ inline float2 finish(const Shared<Role>& shared, const Stage<Role>& stage, int row, int column,
                                const element* argument, float2 o) {
    if constexpr (Role::NORMALIZES) return make_float2(o.x * stage.inverses[row], o.y * stage.inverses[row]);
    if constexpr (!Role::TRANSPOSE) return o;
    const float* z = shared.z + column;
    if constexpr (Role::REVERSE) o = make_float2(o.x + z[0], o.y + z[1]);
    else if constexpr (NORMALIZE) {
        const float delta = stage.deltas[row], inverse = stage.inverses[row];
        o = make_float2((o.x - delta * z[0]) * inverse, (o.y - delta * z[1]) * inverse);
    }
    const float2 x = unpack(*reinterpret_cast<const unsigned*>(argument));
    return make_float2(o.x * feature_slope(x.x), o.y * feature_slope(x.y));
}

// Step 4: the output of the warp's 16 columns, for all rows of the chunk.
template <class Role>
__device__ inline void write_output(const Shared<Role>& shared, const Chunk<Role>& chunk, const Segment<Role>& segment,
                                    const Lane& lane, const State<Role>& state, const Values& w) {
    float o[CHUNK / 16][2][4] = {};
    const float scale = scale_to_fit(state), unscale = chunk.scale / scale, weight_unscale = 1.f / chunk.scale;
#pragma unroll
    for (int i = 0; i < Role::INNER / 16; ++i) {
        const float(&left)[4] = state[2 * i], (&right)[4] = state[2 * i + 1];
        const unsigned R[4] = {pack(left[0] * scale, left[1] * scale), pack(right[0] * scale, right[1] * scale),
                               pack(left[2] * scale, left[3] * scale), pack(right[2] * scale, right[3] * scale)};
#pragma unroll
        for (int row_tile = 0; row_tile < CHUNK / 16; ++row_tile) {
            unsigned x[4];
            load_matrices(x, lane.tile(chunk.stage.x, Role::INNER_STRIDE, 16 * row_tile, 16 * i));
            mma(o[row_tile][0], x, R[0], R[1]);
            mma(o[row_tile][1], x, R[2], R[3]);
        }
    }
#pragma unroll
    for (int row_tile = 0; row_tile < CHUNK / 16; ++row_tile) {
        for (int i = 0; i < 8; ++i) o[row_tile][i / 4][i % 4] *= unscale;
#pragma unroll
        for (int key_tile = first_key_tile<Role>(row_tile); key_tile < end_of_key_tiles<Role>(row_tile); ++key_tile) {
            unsigned scores[4];
            load_matrices(scores, lane.tile(shared.scores, SCORE_STRIDE, 16 * row_tile, 16 * key_tile));
            mma(o[row_tile][0], scores, w[key_tile][0], w[key_tile][1]);
            mma(o[row_tile][1], scores, w[key_tile][2], w[key_tile][3]);
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = 16 * row_tile + 8 * half + lane.group;
            if (row >= chunk.valid) continue;
            for (int n = 0; n < 2; ++n) {
                const int column = 16 * lane.warp + 8 * n + 2 * lane.pair;
                const long long offset = (chunk.first + row) * segment.outer_stride + column;
                const float(&sum)[4] = o[row_tile][n];
                const float2 out = finish<Role>(
                    shared, chunk.stage, row, column, segment.argument + offset,
                    make_float2(sum[2 * half] * weight_unscale, sum[2 * half + 1] * weight_unscale));
                *reinterpret_cast<unsigned*>(segment.out + offset) = pack(out.x, out.y);
            }
        }
    }
}

// Step 5: R^T += w^T y for the warp's 16 columns. z of Forward is the state of a value that is always one: every warp
// computes a part of it, with a fragment of ones instead of w^T.
template <class Role>
__device__ inline void update_state(Shared<Role>& shared, const Chunk<Role>& chunk, const Lane& lane,
                                    State<Role>& state, const Values& w) {
    const unsigned one = pack(1.f, 1.f), ones[4] = {one, one, one, one};
    const float weight_unscale = 1.f / chunk.scale;
#pragma unroll
    for (int i = 0; i < Role::INNER / 16; ++i) {
        float sum[2][4] = {}, z_sum[2][4] = {};
        const bool owns_z = Role::FORWARD && i % Role::WARPS == lane.warp;
#pragma unroll
        for (int token_tile = 0; token_tile < CHUNK / 16; ++token_tile) {
            unsigned y[4];
            load_matrices_transposed(y, lane.tile(chunk.stage.y, Role::INNER_STRIDE, 16 * token_tile, 16 * i));
            const unsigned(&b)[4] = w[token_tile];
            const unsigned w_transposed[4] = {b[0], b[2], b[1], b[3]};
            mma(sum[0], w_transposed, y[0], y[1]);
            mma(sum[1], w_transposed, y[2], y[3]);
            if (owns_z) mma(z_sum[0], ones, y[0], y[1]);
            if (owns_z) mma(z_sum[1], ones, y[2], y[3]);
        }
#pragma unroll
        for (int n = 0; n < 2; ++n) {
            for (int j = 0; j < 4; ++j) state[2 * i + n][j] += sum[n][j] * weight_unscale;
            if (owns_z && lane.group == 0)
                for (int j = 0; j < 2; ++j) shared.z[16 * i + 8 * n + 2 * lane.pair + j] += z_sum[n][j];
        }
    }
}

// z += w, or r -= delta w, for the warp's 16 columns, which no other warp reads.
template <class Role>
__device__ inline void update_normalizer(Shared<Role>& shared, const Chunk<Role>& chunk, const Lane& lane,
                                         const Values& w) {
    float sum[2] = {};  // for columns group and group + 8
#pragma unroll
    for (int i = 0; i < CHUNK / 4; ++i) {
        const int token_tile = i / 4, part = i % 4;  // parts 0, 2: tokens 2 pair, 2 pair + 1; 1, 3: eight later
        const float* delta = chunk.stage.deltas + 16 * token_tile + part % 2 * 8 + 2 * lane.pair;
        const float2 x = unpack(w[token_tile][part]);
        sum[part / 2] += Role::REVERSE ? -(x.x * delta[0] + x.y * delta[1]) : x.x + x.y;
    }
    for (int n = 0; n < 2; ++n) {
        sum[n] += __shfl_xor_sync(0xffffffffu, sum[n], 1);
        sum[n] += __shfl_xor_sync(0xffffffffu, sum[n], 2);
        if (lane.pair == 0) shared.z[16 * lane.warp + 8 * n + lane.group] += sum[n] / chunk.scale;
    }
}

template <class Role>
__device__ inline void run_segment(Shared<Role>& shared, const Segment<Role>& segment, const float* S_in,
                                   const float* z_in, float* S_out, float* z_out) {
    constexpr int INNER = Role::INNER, Z_WIDTH = Role::TRANSPOSE ? Role::SLICE : K;
    const Lane lane;
    // state[i][j] is R[8 i + 2 pair + j % 2][column + 8 (j / 2)]
    const auto address = [&](int i, int j) {
        return segment.state * K * V + Role::address(8 * i + 2 * lane.pair + j % 2, segment.first_column +
                                                     16 * lane.warp + lane.group + j / 2 * 8);
    };
    const long long z_address = segment.state * K + (Role::TRANSPOSE ? segment.first_column : 0);
    State<Role> state;
#pragma unroll
    for (int i = 0; i < INNER / 2; ++i) state[i / 4][i % 4] = S_in ? S_in[address(i / 4, i % 4)] : 0.f;
    for (int i = threadIdx.x; i < Z_WIDTH; i += Role::THREADS) shared.z[i] = z_in ? z_in[z_address + i] : 0.f;

    load_chunk(shared.stages[0], segment, first_token(segment, 0));
    for (int index = 0; index * CHUNK < segment.tokens; ++index) {
        const Chunk<Role> chunk = next_chunk(shared, segment, index);
        if (Role::OUTPUT) {
            for (int row_tile = lane.warp; row_tile < CHUNK / 16; row_tile += Role::WARPS)
                score_rows(shared, chunk.stage, lane, row_tile);
            __syncthreads();
        }
        if (Role::NORMALIZES) store_inverses(chunk, segment);
        Values w;
#pragma unroll
        for (int i = 0; i < CHUNK / 16; ++i)
            load_matrices_transposed(w[i], lane.tile(chunk.stage.w, Role::OUTER_STRIDE, 16 * i, 16 * lane.warp));
        if (Role::OUTPUT) write_output(shared, chunk, segment, lane, state, w);
        update_state(shared, chunk, lane, state, w);
        if (Role::READS_DELTAS) update_normalizer(shared, chunk, lane, w);
    }

    __syncthreads();
    if (S_out) {
#pragma unroll
        for (int i = 0; i < INNER / 2; ++i) S_out[address(i / 4, i % 4)] = state[i / 4][i % 4];
    }
    if (!z_out || (!Role::TRANSPOSE && segment.slice > 0)) return;
    for (int i = threadIdx.x; i < Z_WIDTH; i += Role::THREADS) z_out[z_address + i] = shared.z[i];
}
