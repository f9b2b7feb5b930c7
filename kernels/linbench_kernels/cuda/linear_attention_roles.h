// The recurrence that every kernel over tokens computes, the roles in which it is used, and their sizes.
//
//   R <- R + y_t w_t^T     out_t = R^T x_t     x_t, y_t: INNER     w_t, out_t: OUTER     R: INNER x OUTER
//
// A role selects x, y, w from q, k, v and g = dL/do. Three roles have R transposed relative to the state in memory,
// [K, V]; three run from the last token to the first. With d the denominator of a row, delta = g . o, z the sum of
// phi(k) and r its gradient (d = 1 and no delta without the normaliser):
//
//   Forward         o  = R^T x / d                               R = S              z <- z + y
//   QueryGradient   dq = (R^T x - delta z) / d * phi'(q)         R = S^T            z <- z + w
//   KeyGradient     dk = (R^T x + r) * phi'(k)                   R = (dL/dS)^T      r <- r - delta w
//   ValueGradient   dv = R^T x                                   R = dL/dS
//
// (Within a chunk, delta is subtracted from the scores in float32, before they are rounded.)

#pragma once

#include "primitives.h"

#define IDENTITY 0
#define RELU 1
#define ELU1 2

constexpr int K = HEAD_K, V = HEAD_V, CHUNK = DTYPE == FLOAT32 ? 32 : 64;
constexpr int VECTOR = 16 / sizeof(element);  // elements in one 16-byte access
constexpr int SCORE_STRIDE = CHUNK + VECTOR;
constexpr float EPSILON = 1e-6f;

enum Layout { UNTRANSPOSED, TRANSPOSED };
enum Order { ASCENDING, DESCENDING };
enum Map { PLAIN, FEATURES, WEIGHTS };  // x, phi(x), phi(x) / d
enum Result { OUTPUTS, STATE_ONLY };

template <Layout layout, Order order, Map x, Map y, Map w, Result result>
struct Role {
    static constexpr bool TRANSPOSE = layout == TRANSPOSED, REVERSE = order == DESCENDING, OUTPUT = result == OUTPUTS;
    static constexpr bool FORWARD = !TRANSPOSE && !REVERSE;  // the other roles read a gradient
    static constexpr Map X = x, Y = y, W = w;

    static constexpr int INNER = TRANSPOSE ? V : K, OUTER = TRANSPOSE ? K : V;
    static constexpr int SLICE = TRANSPOSE ? K_SLICE : V_SLICE, SLICES = OUTER / SLICE;  // one per block
    static constexpr int WARPS = DTYPE == FLOAT32 ? 4 : SLICE / 16, THREADS = 32 * WARPS;
    // Target number of blocks per multiprocessor: three fit in the shared memory of sm_90, if registers allow it.
    static constexpr int BLOCKS = DTYPE != FLOAT32 && INNER <= 64 && SLICE <= 64 ? 3 : 1;
    static constexpr int INNER_STRIDE = INNER + VECTOR, OUTER_STRIDE = SLICE + VECTOR;

    static constexpr bool NORMALIZES = NORMALIZE && FORWARD && OUTPUT;       // computes denominators
    static constexpr bool READS_INVERSES = NORMALIZE && !FORWARD;            // reads 1 / d
    static constexpr bool READS_DELTAS = NORMALIZE && TRANSPOSE;

    // Returns the offset of element (i, j) of R in a state [K, V].
    __device__ static long long address(int i, int j) { return TRANSPOSE ? (long long)j * V + i : (long long)i * V + j; }
};

//                           R             order       x         y         w
using Forward       = Role<UNTRANSPOSED, ASCENDING,  FEATURES, FEATURES, PLAIN,    OUTPUTS>;
using States        = Role<UNTRANSPOSED, ASCENDING,  FEATURES, FEATURES, PLAIN,    STATE_ONLY>;
using QueryGradient = Role<TRANSPOSED,   ASCENDING,  PLAIN,    PLAIN,    FEATURES, OUTPUTS>;
using KeyGradient   = Role<TRANSPOSED,   DESCENDING, PLAIN,    PLAIN,    WEIGHTS,  OUTPUTS>;
using Adjoints      = Role<TRANSPOSED,   DESCENDING, PLAIN,    PLAIN,    WEIGHTS,  STATE_ONLY>;
using ValueGradient = Role<UNTRANSPOSED, DESCENDING, FEATURES, WEIGHTS,  PLAIN,    OUTPUTS>;

__device__ inline float feature_map(float x) {
    if constexpr (FEATURE_MAP == IDENTITY) return x;
    if constexpr (FEATURE_MAP == RELU) return fmaxf(x, 0.f);
    if constexpr (DTYPE == FLOAT32) return x > 0.f ? x + 1.f : expf(x);
    return x > 0.f ? x + 1.f : __expf(x);  // its error is far below the rounding of half types
}

__device__ inline float feature_slope(float x) {
    if constexpr (FEATURE_MAP == IDENTITY) return 1.f;
    if constexpr (FEATURE_MAP == RELU) return x > 0.f ? 1.f : 0.f;
    if constexpr (DTYPE == FLOAT32) return x > 0.f ? 1.f : expf(x);
    return x > 0.f ? 1.f : __expf(x);
}
