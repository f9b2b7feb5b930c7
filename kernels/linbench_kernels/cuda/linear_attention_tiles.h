// What the two ways to compute a chunk share: sizes, the shared memory, a block's place in the tensors, and the stream
// of chunks through two stages of shared memory (steps 1 and 2 of the plan in linear_attention.cu).

#pragma once

#include "primitives.h"

#define IDENTITY 0
#define RELU 1
#define ELU1 2

constexpr int K = HEAD_K, V = HEAD_V, V_SLICES = V / V_SLICE;
constexpr float EPSILON = 1e-6f;

#if DTYPE == FLOAT32
constexpr int CHUNK = 32, THREADS = 128;
#else
constexpr int CHUNK = 64, WARPS = V_SLICE / 16, THREADS = 32 * WARPS;
#endif

constexpr int VECTOR = 16 / sizeof(element);  // elements in one 16-byte access
constexpr int QK_STRIDE = K + VECTOR, V_STRIDE = V_SLICE + VECTOR, SCORE_STRIDE = CHUNK + VECTOR;

// One chunk of the inputs.
struct Stage {
    element q[CHUNK * QK_STRIDE];
    element k[CHUNK * QK_STRIDE];
    element v[CHUNK * V_STRIDE];
};

struct alignas(16) Shared {
    Stage stages[2];
    element scores[CHUNK * SCORE_STRIDE];
    float z[K];
    float inverse[CHUNK];  // 1 / denominator of each row
#if DTYPE == FLOAT32
    float S[K * V_SLICE];
#endif
};
static_assert(sizeof(Shared) == SHARED_BYTES, "the launcher and the kernel disagree on the shared memory");

__device__ inline float feature_map(float x) {
    if constexpr (FEATURE_MAP == IDENTITY) return x;
    if constexpr (FEATURE_MAP == RELU) return fmaxf(x, 0.f);
    if constexpr (DTYPE == FLOAT32) return x > 0.f ? x + 1.f : expf(x);
    return x > 0.f ? x + 1.f : __expf(x);  // its error is far below a half type's rounding
}

__device__ inline unsigned map_word(unsigned word) {
    const float2 x = unpack(word);
    return pack(feature_map(x.x), feature_map(x.y));
}

// What a block works on: pointers to its first token, and the distance between tokens.
struct Segment {
    const element *q, *k, *v;
    element* o;
    long long qk_stride, v_stride;
    int tokens;
    int slice, v0;    // slice of V and its first column
    long long state;  // index of its state: (b * H + h) * segments + segment
};

__device__ inline Segment locate(const element* q, const element* k, const element* v, element* o,
                                 long long T, long long H, long long segment_length) {
    const long long head = blockIdx.x / V_SLICES, b = head / H, h = head % H;
    const long long first = blockIdx.y * segment_length, row = (b * T + first) * H + h;
    const int slice = blockIdx.x % V_SLICES, v0 = slice * V_SLICE;
    const long long left = T - first;
    return {q + row * K, k + row * K, v + row * V + v0, o + row * V + v0, H * K, H * V,
            (int)(left < segment_length ? left : segment_length), slice, v0, head * gridDim.y + blockIdx.y};
}

// Starts the copies of a chunk of rows; rows from `valid` on become zeros.
template <int WIDTH>
__device__ inline void load_tile(element* tile, const element* rows, long long row_stride, int valid) {
    constexpr int VECTORS = WIDTH / VECTOR;
    for (int i = threadIdx.x; i < CHUNK * VECTORS; i += THREADS) {
        const int row = i / VECTORS, column = i % VECTORS * VECTOR;
        const bool inside = row < valid;
        copy_async(tile + row * (WIDTH + VECTOR) + column, rows + (inside ? row : 0) * row_stride + column, inside);
    }
}

template <bool WITH_OUTPUT>
__device__ inline void load_chunk(Stage& stage, const Segment& segment, int first) {
    const int valid = segment.tokens - first;
    if (WITH_OUTPUT) load_tile<K>(stage.q, segment.q + first * segment.qk_stride, segment.qk_stride, valid);
    load_tile<K>(stage.k, segment.k + first * segment.qk_stride, segment.qk_stride, valid);
    load_tile<V_SLICE>(stage.v, segment.v + first * segment.v_stride, segment.v_stride, valid);
}

// phi in place. The zeros that a copy leaves past the last token stay zeros.
__device__ inline void map_tile(element* tile, int valid) {
    constexpr int VECTORS = K / VECTOR;
    for (int i = threadIdx.x; i < CHUNK * VECTORS; i += THREADS) {
        const int row = i / VECTORS;
        if (row >= valid) continue;
        uint4& words = *reinterpret_cast<uint4*>(tile + row * QK_STRIDE + i % VECTORS * VECTOR);
        words = make_uint4(map_word(words.x), map_word(words.y), map_word(words.z), map_word(words.w));
    }
}

// Steps 1 and 2 of the plan: the chunk that starts at token `first`, mapped and ready; the next one on its way.
template <bool WITH_OUTPUT>
__device__ inline Stage& next_stage(Shared& shared, const Segment& segment, int first) {
    Stage& stage = shared.stages[first / CHUNK % 2];
    wait_for_copies();
    __syncthreads();  // all threads' copies have landed, and nobody reads the other stage any more
    if (first + CHUNK < segment.tokens)
        load_chunk<WITH_OUTPUT>(shared.stages[(first / CHUNK + 1) % 2], segment, first + CHUNK);
    if (FEATURE_MAP != IDENTITY) {
        if (WITH_OUTPUT) map_tile(stage.q, segment.tokens - first);
        map_tile(stage.k, segment.tokens - first);
        __syncthreads();
    }
    return stage;
}
