// Common parts of the two implementations of a chunk: shared memory, the position of a block in the tensors, and the
// stream of chunks through two stages of shared memory (steps 1 and 2 of the plan in linear_attention.cu).

#pragma once

#include "linear_attention_roles.h"

// One chunk of the inputs, with two numbers per row for the normaliser: 1 / d, which Forward computes and the gradients
// read, and delta.
template <class Role>
struct Stage {
    element x[CHUNK * Role::INNER_STRIDE];
    element y[CHUNK * Role::INNER_STRIDE];
    element w[CHUNK * Role::OUTER_STRIDE];
    float inverses[CHUNK];
    float deltas[CHUNK];
};

template <class Role>
struct alignas(16) Shared {
    Stage<Role> stages[2];
    element scores[CHUNK * SCORE_STRIDE];
    float z[Role::INNER > Role::SLICE ? Role::INNER : Role::SLICE];  // or r
    float maxima[8];                                                 // one per warp
#if DTYPE == FLOAT32
    float R[Role::INNER * Role::SLICE];
#endif
};

// The segment that a block processes: pointers to its first token, and the strides between tokens.
template <class Role>
struct Segment {
    const element *x, *y, *w;
    const element* argument;  // q or k, if `out` is its gradient
    element* out;
    float* inverses;
    const float* deltas;
    long long inner_stride, outer_stride;
    int tokens;
    int slice, first_column;  // slice of OUTER
    long long state;          // index of its state: (b * H + h) * segments + segment

    __device__ Segment(const element* x, const element* y, const element* w, const element* argument, element* out,
                       float* inverses, const float* deltas, long long T, long long H, long long segment_length) {
        const long long head = blockIdx.x / Role::SLICES, first = blockIdx.y * segment_length, remaining = T - first;
        const long long row = (head / H * T + first) * H + head % H;
        slice = blockIdx.x % Role::SLICES, first_column = slice * Role::SLICE;
        inner_stride = H * Role::INNER, outer_stride = H * Role::OUTER;
        this->x = x + row * Role::INNER, this->y = y + row * Role::INNER;
        this->w = w + row * Role::OUTER + first_column;
        this->argument = argument + row * Role::OUTER + first_column;
        this->out = out + row * Role::OUTER + first_column;
        this->inverses = inverses ? inverses + head * T + first : nullptr;
        this->deltas = deltas + head * T + first;
        tokens = (int)(remaining < segment_length ? remaining : segment_length);
        state = head * gridDim.y + blockIdx.y;
    }
};

// A chunk in shared memory, after the feature map: tokens first .. first + valid - 1 of the segment.
template <class Role>
struct Chunk {
    Stage<Role>& stage;
    int first, valid;
    float scale;  // factor that brings WEIGHTS into the range of float16
};

// Starts the copies of a chunk of rows; rows from `valid` on are set to zero.
template <int WIDTH, int THREADS>
__device__ inline void load_tile(element* tile, const element* rows, long long row_stride, int valid) {
    constexpr int VECTORS = WIDTH / VECTOR;
    for (int i = threadIdx.x; i < CHUNK * VECTORS; i += THREADS) {
        const int row = i / VECTORS, column = i % VECTORS * VECTOR;
        const bool inside = row < valid;
        copy_async(tile + row * (WIDTH + VECTOR) + column, rows + (inside ? row : 0) * row_stride + column, inside);
    }
}

template <int THREADS>
__device__ inline void load_numbers(float* numbers, const float* source, int valid) {
    for (int i = threadIdx.x; i < CHUNK; i += THREADS)
        copy_number_async(numbers + i, source + (i < valid ? i : 0), i < valid);
}

template <class Role>
__device__ inline void load_chunk(Stage<Role>& stage, const Segment<Role>& segment, int first) {
    constexpr int INNER = Role::INNER, THREADS = Role::THREADS;
    const int valid = segment.tokens - first;
    const long long inner = first * segment.inner_stride, outer = first * segment.outer_stride;
    if (Role::OUTPUT) load_tile<INNER, THREADS>(stage.x, segment.x + inner, segment.inner_stride, valid);
    load_tile<INNER, THREADS>(stage.y, segment.y + inner, segment.inner_stride, valid);
    load_tile<Role::SLICE, THREADS>(stage.w, segment.w + outer, segment.outer_stride, valid);
    if (Role::READS_INVERSES) load_numbers<THREADS>(stage.inverses, segment.inverses + first, valid);
    if (Role::READS_DELTAS) load_numbers<THREADS>(stage.deltas, segment.deltas + first, valid);
}

__device__ inline unsigned map_word(unsigned word, float factor) {
    const float2 x = unpack(word);
    return pack(feature_map(x.x) * factor, feature_map(x.y) * factor);
}

// Applies phi in place, and for WEIGHTS multiplies by 1 / d and `scale`. Rows past the last token remain zero.
template <class Role, Map MAP, int WIDTH>
__device__ inline void map_tile(element* tile, const float* inverses, int valid, float scale) {
    constexpr bool DIVIDES = MAP == WEIGHTS && Role::READS_INVERSES;
    constexpr int VECTORS = WIDTH / VECTOR;
    if constexpr (MAP != PLAIN && (FEATURE_MAP != IDENTITY || DIVIDES)) {
        for (int i = threadIdx.x; i < CHUNK * VECTORS; i += Role::THREADS) {
            const int row = i / VECTORS;
            if (row >= valid) continue;
            const float factor = DIVIDES ? inverses[row] * scale : 1.f;
            uint4& words = *reinterpret_cast<uint4*>(tile + row * (WIDTH + VECTOR) + i % VECTORS * VECTOR);
            words = make_uint4(map_word(words.x, factor), map_word(words.y, factor), map_word(words.z, factor),
                               map_word(words.w, factor));
        }
    }
}

// Returns the factor that scales the largest weight phi(q) / d of a chunk to one: the weights shrink as T grows, below
// the smallest float16 number. The other types have the range of float32 and need no factor.
template <class Role, int WIDTH>
__device__ inline float scale_of_weights(const element* tile, const float* inverses, int valid, float* maxima) {
    if constexpr (DTYPE != FLOAT16 || !Role::READS_INVERSES) {
        return 1.f;
    } else {
        constexpr int WORDS = WIDTH / 2;
        float largest = 0.f;
        for (int i = threadIdx.x; i < CHUNK * WORDS; i += Role::THREADS) {
            const int row = i / WORDS;
            if (row >= valid) continue;
            const float2 x = unpack(*reinterpret_cast<const unsigned*>(tile + row * (WIDTH + VECTOR) + i % WORDS * 2));
            largest = fmaxf(largest, fmaxf(fabsf(feature_map(x.x)), fabsf(feature_map(x.y))) * fabsf(inverses[row]));
        }
        largest = warp_max(largest);
        if (threadIdx.x % 32 == 0) maxima[threadIdx.x / 32] = largest;
        __syncthreads();
        for (int warp = 0; warp < Role::WARPS; ++warp) largest = fmaxf(largest, maxima[warp]);
        return largest > 0.f ? 1.f / largest : 1.f;
    }
}

template <class Role>
__device__ inline int first_token(const Segment<Role>& segment, int index) {
    const int chunks = (segment.tokens + CHUNK - 1) / CHUNK;
    return (Role::REVERSE ? chunks - 1 - index : index) * CHUNK;
}

// Steps 1 and 2 of the plan: returns chunk `index` of the pass after the feature map, and starts to copy the next one.
template <class Role>
__device__ inline Chunk<Role> next_chunk(Shared<Role>& shared, const Segment<Role>& segment, int index) {
    constexpr int INNER = Role::INNER, SLICE = Role::SLICE;
    constexpr bool MAPS = FEATURE_MAP != IDENTITY || (Role::READS_INVERSES && Role::REVERSE);
    Stage<Role>& stage = shared.stages[index % 2];
    const int first = first_token(segment, index), valid = segment.tokens - first;
    float scale = 1.f;
    wait_for_copies();
    __syncthreads();  // all copies are complete, and no thread still reads the other stage
    if ((index + 1) * CHUNK < segment.tokens)
        load_chunk(shared.stages[(index + 1) % 2], segment, first_token(segment, index + 1));
    if (Role::Y == WEIGHTS) scale = scale_of_weights<Role, INNER>(stage.y, stage.inverses, valid, shared.maxima);
    if (Role::W == WEIGHTS) scale = scale_of_weights<Role, SLICE>(stage.w, stage.inverses, valid, shared.maxima);
    if (Role::OUTPUT) map_tile<Role, Role::X, INNER>(stage.x, stage.inverses, valid, scale);
    map_tile<Role, Role::Y, INNER>(stage.y, stage.inverses, valid, scale);
    map_tile<Role, Role::W, SLICE>(stage.w, stage.inverses, valid, scale);
    if (MAPS) __syncthreads();
    return {stage, first, valid, scale};
}

// Writes the inverse denominators of a chunk for the backward pass, if requested.
template <class Role>
__device__ inline void store_inverses(const Chunk<Role>& chunk, const Segment<Role>& segment) {
    if (!segment.inverses || segment.slice > 0) return;
    for (int i = threadIdx.x; i < CHUNK && i < chunk.valid; i += Role::THREADS)
        segment.inverses[chunk.first + i] = chunk.stage.inverses[i];
}
