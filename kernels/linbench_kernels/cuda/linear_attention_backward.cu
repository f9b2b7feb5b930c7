// The gradients of causal linear attention, for sm_80 and later: each is causal linear attention again.
//
// With Q = phi(q), K = phi(k), g = dL/do, d the denominators and delta_t = g_t . o_t (d = 1 and delta = 0 without the
// normaliser), S, z the states and R, r the gradients of S and z:
//
//   dQ_t = (sum_{s <= t} (g_t . v_s - delta_t) K_s) / d_t        = (S_t g_t - delta_t z_t) / d_t
//   dK_s =  sum_{t >= s} (v_s . g_t - delta_t) Q_t / d_t         =  R_s v_s + r_s
//   dv_s =  sum_{t >= s} (K_s . Q_t / d_t) g_t                   =  R_s^T K_s
//
// and dq = dQ phi'(q), dk = dK phi'(k). So the forward kernel runs three times, with the rows of other tensors as x, y,
// w (linear_attention_roles.h) and, for dk and dv, from the last chunk to the first; the plan, the tiles and the grid
// are those of linear_attention.cu. The forward pass saves only q, k, v, o and one float32 number per row, 1 / d: the
// states are recomputed, and R and r with them. No sum crosses blocks, so the gradients are bitwise reproducible.
//
// Segments      dq needs the initial states of the segments (`segment_states` and `scan` of the forward pass); dk and
//               dv need R, r after each segment: `segment_adjoints`, then `scan_adjoints` from the last to the first,
//               which starts with the gradient of the final state and ends with that of the initial state.
// Macros        those of linear_attention.cu, and TRANSPOSED_SHARED_BYTES for R as [V, K]

#include "linear_attention_tiles.h"
#if DTYPE == FLOAT32
#include "linear_attention_fma.h"
#else
#include "linear_attention_mma.h"
#endif
#include "linear_attention_scan.h"

static_assert(sizeof(Shared<ValueGradient>) == SHARED_BYTES && sizeof(Shared<KeyGradient>) == TRANSPOSED_SHARED_BYTES,
              "the launcher and the kernels disagree on the shared memory");

constexpr int DELTA_THREADS = 256;

// Computes delta = g . o for every row of [B, T, H, V] into [B, H, T]; one warp per row.
extern "C" __global__ void __launch_bounds__(DELTA_THREADS, 1)
linear_attention_deltas(const element* __restrict__ g, const element* __restrict__ o, float* __restrict__ deltas,
                        long long B, long long T, long long H) {
    constexpr int WORDS = V * sizeof(element) / 4;
    const long long row = (long long)blockIdx.x * (DELTA_THREADS / 32) + threadIdx.x / 32;
    if (row >= B * T * H) return;
    const unsigned *g_row = reinterpret_cast<const unsigned*>(g) + row * WORDS;
    const unsigned *o_row = reinterpret_cast<const unsigned*>(o) + row * WORDS;
    float sum = 0.f;
    for (int i = threadIdx.x % 32; i < WORDS; i += 32) {
        const float2 x = unpack(g_row[i]), y = unpack(o_row[i]);
        sum = fmaf(x.x, y.x, fmaf(x.y, y.y, sum));
    }
    sum = warp_sum(sum);
    const long long h = row % H, t = row / H % T, b = row / H / T;
    if (threadIdx.x % 32 == 0) deltas[(b * H + h) * T + t] = sum;
}

// Computes dq of every segment from its initial state (zeros if null).
extern "C" __global__ void __launch_bounds__(QueryGradient::THREADS, QueryGradient::BLOCKS)
linear_attention_query_gradient(const element* q, const element* k, const element* v, const element* g, element* dq,
                                float* inverses, const float* deltas, const float* S_in, const float* z_in, long long T,
                                long long H, long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<QueryGradient> segment(g, v, k, q, dq, inverses, deltas, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<QueryGradient>*>(memory), segment, S_in, z_in, nullptr, nullptr);
}

// Computes dk of every segment from R and r after it (zeros if null), and r before the first token if requested.
extern "C" __global__ void __launch_bounds__(KeyGradient::THREADS, KeyGradient::BLOCKS)
linear_attention_key_gradient(const element* q, const element* k, const element* v, const element* g, element* dk,
                              float* inverses, const float* deltas, const float* R_in, const float* r_in, float* r_out,
                              long long T, long long H, long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<KeyGradient> segment(v, g, q, k, dk, inverses, deltas, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<KeyGradient>*>(memory), segment, R_in, r_in, nullptr, r_out);
}

// Computes dv of every segment from R after it (zeros if null), and R before the first token if requested.
extern "C" __global__ void __launch_bounds__(ValueGradient::THREADS, ValueGradient::BLOCKS)
linear_attention_value_gradient(const element* q, const element* k, const element* g, element* dv, float* inverses,
                                const float* R_in, float* R_out, long long T, long long H, long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<ValueGradient> segment(k, q, g, nullptr, dv, inverses, nullptr, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<ValueGradient>*>(memory), segment, R_in, nullptr, R_out, nullptr);
}

// Computes the contribution of each segment to R [B, H, segments, K, V] and r [B, H, segments, K].
extern "C" __global__ void __launch_bounds__(Adjoints::THREADS, Adjoints::BLOCKS)
linear_attention_segment_adjoints(const element* q, const element* g, float* inverses, const float* deltas, float* R,
                                  float* r, long long T, long long H, long long segment_length) {
    DYNAMIC_SHARED(memory);
    const Segment<Adjoints> segment(nullptr, g, q, nullptr, nullptr, inverses, deltas, T, H, segment_length);
    run_segment(*reinterpret_cast<Shared<Adjoints>*>(memory), segment, nullptr, nullptr, R, r);
}

extern "C" __global__ void __launch_bounds__(SCAN_THREADS, 1)
linear_attention_scan_adjoints(float* R, float* r, const float* R_final, const float* r_final, float* R_initial,
                               float* r_initial, long long segments) {
    scan_segments<true>(R, r, R_final, r_final, R_initial, r_initial, segments);
}
