// Causal linear attention (Katharopoulos et al. 2020), forward and decode, for sm_80 and later.
//
//   S_t = S_{t-1} + phi(k_t) v_t^T     z_t = z_{t-1} + phi(k_t)     o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + eps)
//
// Layout        q, k: [B, T, H, K]   v, o: [B, T, H, V]   S: [B, H, K, V] float32   z: [B, H, K] float32
// Macros        HEAD_K, HEAD_V, K_SLICE, V_SLICE (divisors of the head dims, multiples of 16), DTYPE, FEATURE_MAP,
//               NORMALIZE, SHARED_BYTES
//
// Grid          x = (b * H + h) * V_SLICES + slice: the slices of one head run concurrently and share q and k in L2.
//               y = segment of T. One segment is the plain one-pass kernel; with more, `segment_states` sums each
//               segment separately, `scan` turns the sums into initial states, and `forward` uses them.
//
// Plan of a block, for each chunk of C tokens; everything but the state is streamed. The gradients (linear_attention_
// backward.cu) follow the same plan, with other tensors as x, y, w (linear_attention_roles.h); here x = phi(q),
// y = phi(k), w = v, R = S:
//   1. wait for the copies of this chunk; start those of the next chunk into the other buffer
//   2. q <- phi(q), k <- phi(k) in place, once for all warps; rows past the end of T remain zero (phi(0) may not be)
//   3. A = tril(x y^T) to shared memory; 1 / (row sum of A + x.z + eps)
//   4. o = (x R + A w) / denominator, written directly to memory
//   5. R += y^T w, z += y^T 1; the sum of the chunk is computed separately and added once, in float32: tensor cores
//      truncate when they accumulate, and that error would be visible after a million tokens
//
// float16 and bfloat16 run on tensor cores with C = 64 and the state in registers (linear_attention_mma.h); float32
// with plain FMA, C = 32 and the state in shared memory (linear_attention_fma.h).
//
// Shared memory (struct Shared): two stages of {x, y: C x (INNER + pad), w: C x (SLICE + pad), two numbers per row},
// A: C x (C + pad), z, and R for float32. A pad of 16 bytes avoids bank conflicts of ldmatrix.

#include "linear_attention_tiles.h"
#if DTYPE == FLOAT32
#include "linear_attention_fma.h"
#else
#include "linear_attention_mma.h"
#endif
#include "linear_attention_scan.h"

static_assert(sizeof(Shared<Forward>) == SHARED_BYTES, "the launcher and the kernel disagree on the shared memory");

// Computes the outputs of every segment from its initial state (zeros if null), and the final states and inverse
// denominators [B, H, T] if requested.
extern "C" __global__ void __launch_bounds__(Forward::THREADS, Forward::BLOCKS)
linear_attention_forward(const element* q, const element* k, const element* v, element* o, float* inverses,
                         const float* S_in, const float* z_in, float* S_out, float* z_out, long long T, long long H,
                         long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<Forward> segment(q, k, v, nullptr, o, inverses, nullptr, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<Forward>*>(memory), segment, S_in, z_in, S_out, z_out);
}

// Computes the contribution of each segment to the state: S [B, H, segments, K, V], z [B, H, segments, K].
extern "C" __global__ void __launch_bounds__(States::THREADS, States::BLOCKS)
linear_attention_segment_states(const element* k, const element* v, float* S, float* z, long long T, long long H,
                                long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<States> segment(nullptr, k, v, nullptr, nullptr, nullptr, nullptr, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<States>*>(memory), segment, nullptr, nullptr, S, z);
}

extern "C" __global__ void __launch_bounds__(SCAN_THREADS, 1)
linear_attention_scan(float* S, float* z, const float* S_in, const float* z_in, float* S_out, float* z_out,
                      long long segments) {
    scan_segments<false>(S, z, S_in, z_in, S_out, z_out, segments);
}

// Computes one token and updates the state in place. The state is read once and written once, 16 bytes per access: the
// kernel is bound by this traffic. A block processes a whole head, so no other block reads the z that it writes. A
// thread processes four columns and every ROW_GROUPS-th row; the partial outputs of the groups are summed in shared
// memory.
constexpr int DECODE_THREADS = V > 64 ? 256 : 128, COLUMN_GROUPS = V / 4, ROW_GROUPS = DECODE_THREADS / COLUMN_GROUPS;

__device__ inline float4 add_product(float4 sum, float x, float4 y) {
    return {fmaf(x, y.x, sum.x), fmaf(x, y.y, sum.y), fmaf(x, y.z, sum.z), fmaf(x, y.w, sum.w)};
}

extern "C" __global__ void __launch_bounds__(DECODE_THREADS, 1)
linear_attention_decode(const element* __restrict__ q, const element* __restrict__ k, const element* __restrict__ v,
                        element* __restrict__ o, float* __restrict__ S, float* __restrict__ z) {
    __shared__ float mapped_q[K], mapped_k[K], denominators[DECODE_THREADS / 32];
    __shared__ float4 partial[ROW_GROUPS][COLUMN_GROUPS];
    const long long head = blockIdx.x;
    const int thread = threadIdx.x;
    float sum = 0.f;
    for (int i = thread; i < K; i += DECODE_THREADS) {
        mapped_q[i] = feature_map(to_float(q[head * K + i]));
        mapped_k[i] = feature_map(to_float(k[head * K + i]));
        const float new_z = z[head * K + i] + mapped_k[i];
        z[head * K + i] = new_z;
        sum = fmaf(mapped_q[i], new_z, sum);
    }
    sum = warp_sum(sum);
    if (thread % 32 == 0) denominators[thread / 32] = sum;
    __syncthreads();

    const int group = thread / COLUMN_GROUPS, column = thread % COLUMN_GROUPS;
    if (group < ROW_GROUPS) {
        float* S_columns = S + head * K * V + 4 * column;
        const element* v_columns = v + head * V + 4 * column;
        const float4 value = {to_float(v_columns[0]), to_float(v_columns[1]), to_float(v_columns[2]),
                              to_float(v_columns[3])};
        float4 out = {0.f, 0.f, 0.f, 0.f};
        // Rows are processed in batches, with all loads of a batch before its stores.
        constexpr int BATCH = 8;
        for (int first = group; first < K; first += BATCH * ROW_GROUPS) {
            float4 rows[BATCH];
#pragma unroll
            for (int n = 0; n < BATCH; ++n) {
                const int row = first + n * ROW_GROUPS;
                if (row < K) rows[n] = *reinterpret_cast<const float4*>(S_columns + row * V);
            }
#pragma unroll
            for (int n = 0; n < BATCH; ++n) {
                const int row = first + n * ROW_GROUPS;
                if (row >= K) continue;
                rows[n] = add_product(rows[n], mapped_k[row], value);
                *reinterpret_cast<float4*>(S_columns + row * V) = rows[n];
                out = add_product(out, mapped_q[row], rows[n]);
            }
        }
        partial[group][column] = out;
    }
    __syncthreads();

    float denominator = EPSILON;
    for (const float part : denominators) denominator += part;
    const float inverse = NORMALIZE ? 1.f / denominator : 1.f;
    for (int i = thread; i < V; i += DECODE_THREADS) {
        float out = 0.f;
        for (int n = 0; n < ROW_GROUPS; ++n) out += reinterpret_cast<const float*>(partial[n])[i];
        o[head * V + i] = to_element(out * inverse);
    }
}
