// Causal linear attention (Katharopoulos et al. 2020), forward and decode, for sm_80 and later.
//
//   S_t = S_{t-1} + phi(k_t) v_t^T     z_t = z_{t-1} + phi(k_t)     o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + eps)
//
// Layout        q, k: [B, T, H, K]   v, o: [B, T, H, V]   S: [B, H, K, V] float32   z: [B, H, K] float32
// Macros        HEAD_K, HEAD_V, V_SLICE (divides HEAD_V, multiple of 16), DTYPE, FEATURE_MAP, NORMALIZE, SHARED_BYTES
//
// Grid          x = (b * H + h) * V_SLICES + slice: the slices of one head run side by side and share q and k in L2.
//               y = segment of T. One segment is the plain one-pass kernel; with more, `segment_states` sums each
//               segment alone, `scan` turns the sums into the state each segment starts from, and `forward` uses them.
//
// Plan of a block, chunk by chunk (C tokens), everything streamed but the state:
//   1. the copies of this chunk have landed; those of the next one start into the other buffer
//   2. q <- phi(q), k <- phi(k) in place, once for all warps; rows past the end of T stay zero (phi(0) need not be 0)
//   3. A = tril(q k^T) to shared memory; 1 / (row sum of A + q.z + eps)
//   4. o = (q S + A v) / denominator, straight to memory
//   5. S += k^T v, z += k^T 1; the chunk's own sum is formed apart and added once, in float32: a tensor core truncates
//      as it accumulates, and over a million tokens that drift would show
//
// float16 and bfloat16 run on tensor cores with C = 64 and the state in registers (linear_attention_mma.h); float32
// with plain FMA, C = 32 and the state in shared memory (linear_attention_fma.h).
//
// Shared memory (struct Shared): two stages of {q, k: C x (K + pad), v: C x (V_SLICE + pad)}, A: C x (C + pad), z, the
// inverse denominators, and S for float32. A pad of 16 bytes makes ldmatrix free of bank conflicts.

#include "linear_attention_tiles.h"
#if DTYPE == FLOAT32
#include "linear_attention_fma.h"
#else
#include "linear_attention_mma.h"
#endif

// Outputs of every segment from the states given (zeros if null); final states where asked for.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_attention_forward(const element* q, const element* k, const element* v, element* o, const float* S_in,
                         const float* z_in, float* S_out, float* z_out, long long T, long long H,
                         long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment segment = locate(q, k, v, o, T, H, segment_length);
    run_segment<true>(*reinterpret_cast<Shared*>(memory), segment, S_in, z_in, S_out, z_out);
}

// The state of every segment taken alone: S [B, H, segments, K, V], z [B, H, segments, K].
extern "C" __global__ void __launch_bounds__(THREADS, 1)
linear_attention_segment_states(const element* k, const element* v, float* S, float* z, long long T, long long H,
                                long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment segment = locate(k, k, v, nullptr, T, H, segment_length);
    run_segment<false>(*reinterpret_cast<Shared*>(memory), segment, nullptr, nullptr, S, z);
}

// Segment sums to the states that segments start from, in place; the state after the last one to S_out, z_out. A thread
// an element: x over B * H, y over the K * V elements of S and then the K of z.
extern "C" __global__ void __launch_bounds__(256, 1)
linear_attention_scan(float* S, float* z, const float* S_in, const float* z_in, float* S_out, float* z_out,
                      long long segments) {
    const int element_index = blockIdx.y * 256 + threadIdx.x;
    const bool of_S = element_index < K * V;
    const int size = of_S ? K * V : K, i = of_S ? element_index : element_index - K * V;
    if (i >= size) return;
    const long long head = blockIdx.x;
    float* sums = (of_S ? S : z) + head * segments * size + i;
    const float* initial = of_S ? S_in : z_in;
    float* final = of_S ? S_out : z_out;
    float running = initial ? initial[head * size + i] : 0.f;
    for (long long s = 0; s < segments; ++s) {
        const float sum = sums[s * size];
        sums[s * size] = running;
        running += sum;
    }
    if (final) final[head * size + i] = running;
}

// One token, the state updated in place. It is read once and written once, 16 bytes at a time: that traffic is all the
// cost. A block has a whole head, so that no other block reads the z that it writes. A thread owns four columns and
// every ROW_GROUPS-th row; the groups' partial outputs meet in shared memory.
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
        float* of_S = S + head * K * V + 4 * column;
        const element* of_v = v + head * V + 4 * column;
        const float4 value = {to_float(of_v[0]), to_float(of_v[1]), to_float(of_v[2]), to_float(of_v[3])};
        float4 out = {0.f, 0.f, 0.f, 0.f};
        // Rows are read in batches, all loads of a batch before its stores.
        constexpr int BATCH = 8;
        for (int first = group; first < K; first += BATCH * ROW_GROUPS) {
            float4 rows[BATCH];
#pragma unroll
            for (int n = 0; n < BATCH; ++n) {
                const int row = first + n * ROW_GROUPS;
                if (row < K) rows[n] = *reinterpret_cast<const float4*>(of_S + row * V);
            }
#pragma unroll
            for (int n = 0; n < BATCH; ++n) {
                const int row = first + n * ROW_GROUPS;
                if (row >= K) continue;
                rows[n] = add_product(rows[n], mapped_k[row], value);
                *reinterpret_cast<float4*>(of_S + row * V) = rows[n];
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
