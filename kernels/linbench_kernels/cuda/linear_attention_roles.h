// The one recurrence that every kernel over tokens is, the roles it is used in, and their sizes.
//
//   R <- R + y_t w_t^T     out_t = R^T x_t     x_t, y_t: INNER     w_t, out_t: OUTER     R: INNER x OUTER
//
// A role chooses x, y, w among q, k, v and g = dL/do. Three of them keep R transposed against the state that is
// stored [K, V]; three walk from the last token to the first. With d the denominator of a row, delta = g . o,
// z the sum of phi(k) and r its gradient (d = 1 and no delta without the normaliser):
//
//   Forward         o  = R^T x / d                               R = S              z <- z + y
//   QueryGradient   dq = (R^T x - delta z) / d * phi'(q)         R = S^T            z <- z + w
//   KeyGradient     dk = (R^T x + r) * phi'(k)                   R = (dL/dS)^T      r <- r - delta w
//   ValueGradient   dv = R^T x                                   R = dL/dS
//
// (The terms of delta within a chunk are taken from the scores, in float32, before these are rounded.)

#pragma once

#include "primitives.h"

#define IDENTITY 0
#define RELU 1
#define ELU1 2

constexpr int K = HEAD_K, V = HEAD_V, CHUNK = DTYPE == FLOAT32 ? 32 : 64;
constexpr int VECTOR = 16 / sizeof(element);  // elements in one 16-byte access
constexpr int SCORE_STRIDE = CHUNK + VECTOR;
constexpr float EPSILON = 1e-6f;

enum Layout { STORED, TRANSPOSED };
enum Order { ONWARD, BACKWARD };
enum Map { PLAIN, FEATURES, WEIGHTS };  // x, phi(x), phi(x) / d
enum Result { OUTPUTS, STATE_ALONE };

template <Layout layout, Order order, Map x, Map y, Map w, Result result>
struct Role {
    static constexpr bool TRANSPOSE = layout == TRANSPOSED, REVERSE = order == BACKWARD, OUTPUT = result == OUTPUTS;
    static constexpr bool FORWARD = !TRANSPOSE && !REVERSE;  // the others have a gradient to start from
    static constexpr Map X = x, Y = y, W = w;

    static constexpr int INNER = TRANSPOSE ? V : K, OUTER = TRANSPOSE ? K : V;
    static constexpr int SLICE = TRANSPOSE ? K_SLICE : V_SLICE, SLICES = OUTER / SLICE;  // a block has one slice of OUTER
    static constexpr int WARPS = DTYPE == FLOAT32 ? 4 : SLICE / 16, THREADS = 32 * WARPS;
    // Blocks that a multiprocessor is to hold: three fit into the shared memory of sm_90, if registers allow it.
    static constexpr int BLOCKS = DTYPE != FLOAT32 && INNER <= 64 && SLICE <= 64 ? 3 : 1;
    static constexpr int INNER_STRIDE = INNER + VECTOR, OUTER_STRIDE = SLICE + VECTOR;

    static constexpr bool NORMALIZES = NORMALIZE && FORWARD && OUTPUT;       // forms denominators
    static constexpr bool READS_INVERSES = NORMALIZE && !FORWARD;            // of denominators
    static constexpr bool READS_DELTAS = NORMALIZE && TRANSPOSE;

    // Where element (i, j) of R is in a state stored [K, V].
    __device__ static long long address(int i, int j) { return TRANSPOSE ? (long long)j * V + i : (long long)i * V + j; }
};

//                           R           order     x         y         w
using Forward       = Role<STORED,     ONWARD,   FEATURES, FEATURES, PLAIN,    OUTPUTS>;
using States        = Role<STORED,     ONWARD,   FEATURES, FEATURES, PLAIN,    STATE_ALONE>;
using QueryGradient = Role<TRANSPOSED, ONWARD,   PLAIN,    PLAIN,    FEATURES, OUTPUTS>;
using KeyGradient   = Role<TRANSPOSED, BACKWARD, PLAIN,    PLAIN,    WEIGHTS,  OUTPUTS>;
using Adjoints      = Role<TRANSPOSED, BACKWARD, PLAIN,    PLAIN,    WEIGHTS,  STATE_ALONE>;
using ValueGradient = Role<STORED,     BACKWARD, FEATURES, WEIGHTS,  PLAIN,    OUTPUTS>;

__device__ inline float feature_map(float x) {
    if constexpr (FEATURE_MAP == IDENTITY) return x;
    if constexpr (FEATURE_MAP == RELU) return fmaxf(x, 0.f);
    if constexpr (DTYPE == FLOAT32) return x > 0.f ? x + 1.f : expf(x);
    return x > 0.f ? x + 1.f : __expf(x);  // its error is far below a half type's rounding
}

__device__ inline float feature_slope(float x) {
    if constexpr (FEATURE_MAP == IDENTITY) return 1.f;
    if constexpr (FEATURE_MAP == RELU) return x > 0.f ? 1.f : 0.f;
    if constexpr (DTYPE == FLOAT32) return x > 0.f ? 1.f : expf(x);
    return x > 0.f ? 1.f : __expf(x);
}
