// What the launcher passes, field for field as in linear_attention.py, and rows of its tensors.
#pragma once

#include "chunk.h"

enum FeatureMap : int64_t { ELU1, RELU, IDENTITY };

struct Tensor {  // [B, T, H, D]; rows contiguous, strides in elements
    float* data;
    int64_t batch, token, head;
    float* row(int64_t b, int64_t t, int64_t h) const { return data + b * batch + t * token + h * head; }
};

struct Problem {
    int64_t B, T, H, K, V;
    int64_t feature_map, normalize, threads, segment;  // segment: tokens, a multiple of C unless it is T
    Tensor q, k, v, o;
    Tensor log_decay;         // [B, T, H, 1], or data null
    const float *S_in, *z_in;  // [B, H, K, V] and [B, H, K], or null for zeros
    float *S_out, *z_out;      // likewise, or null if not wanted
    float* reciprocals;        // [B, H, T], of the denominators; null if not wanted
    // Backward only: gradients of o and of the final state are given, the others are written.
    Tensor do_, dq, dk, dv;
    const float *dS_out, *dz_out;
    float *dS_in, *dz_in;
    float *dq_products, *dk_products;  // [B, H, T]: phi(q) . dphi(q) and phi(k) . dphi(k); null if not wanted
};

// Tokens first, first + step, ...: of a chunk, in the order of the recurrence, which runs back in time if step is -1.
struct Span {
    int64_t first, count, step;
    int64_t token(int64_t i) const { return first + i * step; }
};

// One head of one sequence of the batch.
struct Head {
    const Problem& problem;
    int64_t b, h;

    int64_t index() const { return b * problem.H + h; }

    // Rows of a tensor through a function of a vector, zeros in the padding.
    template <class Map>
    INLINE void read(const Tensor& from, const Span& span, int64_t width, const Matrix& to, Map map) const {
        for (int64_t i = 0; i < span.count; i++) {
            const float* row = from.row(b, span.token(i), h);
            float* copy = to.row(i);
            int64_t d = 0;
            for (; d + W <= width; d += W) store(copy + d, map(load(row + d)));
            if (d == width) continue;
            Vector rest{};
            for (int64_t j = d; j < width; j++) rest[j - d] = row[j];
            rest = map(rest);
            for (int64_t j = width; j < d + W; j++) rest[j - d] = 0;
            store(copy + d, rest);
        }
    }
    void read(const Tensor& from, const Span& span, int64_t width, const Matrix& to) const {
        read(from, span, width, to, [](Vector x) { return x; });
    }

    // phi of rows of q or k.
    void read_features(const Tensor& from, const Span& span, const Matrix& to) const {
        if (problem.feature_map == ELU1)
            read(from, span, problem.K, to, [](Vector x) { return x > Vector{} ? x + 1.0f : exp_negative(x); });
        else if (problem.feature_map == RELU)
            read(from, span, problem.K, to, [](Vector x) { return larger(x, Vector{}); });
        else
            read(from, span, problem.K, to);
    }

    // Fetches R rows of the chunk after this one: one head's rows lie too far apart for the CPU to foresee them.
    void prefetch(const Tensor& from, const Span& span, int64_t first, int64_t width) const {
        asm volatile("");  // g++ drops calls of a function that only prefetches
        for (int64_t i = first; i < first + R; i++) {
            const int64_t t = span.token(C + i);
            if (t < 0 || t >= problem.T) return;
            const float* row = from.row(b, t, h);
            for (int64_t d = 0; d < width; d += 16) __builtin_prefetch(row + d, 0, 2);
        }
    }

    // Rows times their factors, or once if those are null.
    void write(const Matrix& from, const float* factors, const Tensor& to, const Span& span, int64_t width) const {
        for (int64_t i = 0; i < span.count; i++) {
            float* row = to.row(b, span.token(i), h);
            const float* given = from.row(i);
            const float factor = factors ? factors[i] : 1;
            int64_t d = 0;
            for (; d + W <= width; d += W) store(row + d, load(given + d) * factor);
            for (; d < width; d++) row[d] = given[d] * factor;
        }
    }

    // dx = phi'(x) dphi, in place. phi' follows from phi: e^x below zero is phi itself.
    void multiply_slopes(const Matrix& gradient, const Matrix& features, int64_t count) const {
        if (problem.feature_map == IDENTITY) return;
        for (int64_t i = 0; i < count; i++)
            for (int64_t d = 0; d < problem.K; d += W) {
                const Vector phi = load(features.row(i) + d), one = broadcast(1);
                const Vector slope = problem.feature_map == RELU ? (phi > Vector{} ? one : Vector{}) : smaller(phi, one);
                store(gradient.row(i) + d, load(gradient.row(i) + d) * slope);
            }
    }

    // Decays of a chunk. Back in time a token's decay acts one token later: dS_t = q_t do_t^T + e^g_{t+1} dS_{t+1}.
    void read_weights(const Span& span, Weights& weights) const {
        if (!weights.decayed) return;
        float log_decays[C];
        for (int64_t i = 0; i < span.count; i++) {
            const int64_t t = span.step > 0 ? span.token(i) : span.token(i) + 1;
            log_decays[i] = t < problem.T ? *problem.log_decay.row(b, t, h) : 0;
        }
        weights.set(log_decays, span.count);
    }
};
