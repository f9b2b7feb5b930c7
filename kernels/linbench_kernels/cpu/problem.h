// The arguments that calls.py passes, with the fields in the same order, and access to the rows of its tensors.
#pragma once

#include "chunk.h"

constexpr int64_t DRIFT = 64;  // tokens, a multiple of C; the same number is in calls.py

enum FeatureMap : int64_t { ELU1, RELU, IDENTITY };

struct Tensor {  // [B, T, H, D]; rows contiguous, strides in elements
    float* data;
    int64_t batch, token, head;
    float* row(int64_t b, int64_t t, int64_t h) const { return data + b * batch + t * token + h * head; }
};

struct Problem {
    int64_t B, T, H, K, V;
    int64_t feature_map, normalize, threads, segment;  // segment: tokens
    Tensor q, k, v, o;
    Tensor log_decay;         // [B, T, H, 1], or data null
    const float *S_in, *z_in;  // [B, H, K, V] and [B, H, K]; null for zeros
    float *S_out, *z_out;      // the same shapes; null if not requested
    float* reciprocals;        // [B, H, T], of the denominators; null if not requested
    // Backward only: the gradients of o and of the final state are inputs, the others are outputs.
    Tensor do_, dq, dk, dv;
    const float *dS_out, *dz_out;
    float *dS_in, *dz_in;
    // [B, H, T]: phi(q) . dphi(q) and phi(k) . dphi(k), without the term of a token with itself; or null.
    float *dq_products, *dk_products;
    // [B, H, boundaries]: the gradient of the log-decay of every DRIFT-th token but the first; or null.
    float* flows;
    float* states;  // working memory of the backward pass: the state before each of these tokens

    int64_t boundaries() const { return (T - 1) / DRIFT; }
};

// The tokens first, first + step, ... of a chunk, in the order of the recurrence, which runs backwards if step is -1.
struct Span {
    int64_t first, count, step;
    int64_t token(int64_t i) const { return first + i * step; }
};

// One head of one sequence in the batch.
struct Head {
    const Problem& problem;
    int64_t b, h;

    int64_t index() const { return b * problem.H + h; }

    // Copies rows of a tensor, mapped by a function of a vector, with zeros in the padding.
    template <class Map>
    INLINE void read(const Tensor& from, const Span& span, int64_t width, const Matrix& to, Map map) const {
        for (int64_t i = 0; i < span.count; i++) {
            const float* row = from.row(b, span.token(i), h);
            int64_t d = 0;
            for (; d + W <= width; d += W) store(to.row(i) + d, map(load(row + d)));
            if (d < width) store(to.row(i) + d, first_lanes(map(load_some(row + d, width - d)), width - d));
        }
    }
    void read(const Tensor& from, const Span& span, int64_t width, const Matrix& to) const {
        read(from, span, width, to, [](Vector x) { return x; });
    }

    // Copies the same rows as columns, with zeros past the last row. Calls visit(first row, first column, rows) for
    // each block of W by W; rows past the last one repeat it.
    template <class Map, class Visit>
    INLINE void read_columns(
        const Tensor& from, const Span& span, int64_t width, const Matrix& to, Map map, Visit visit
    ) const {
        for (int64_t d = 0; d < width; d += W)
            for (int64_t first = 0; first < span.count; first += W) {
                Vector x[W];
                UNROLL for (int i = 0; i < W; i++) {
                    const int64_t t = span.token(std::min(first + i, span.count - 1));
                    x[i] = map(load_some(from.row(b, t, h) + d, width - d));
                }
                visit(first, d, x);
                transpose(x);
                UNROLL for (int i = 0; i < W; i++) store(to.row(d + i) + first, first_lanes(x[i], span.count - first));
            }
    }

    // Calls body(phi), a function of a vector.
    template <class Body>
    INLINE void with_feature_map(Body body) const {
        if (problem.feature_map == ELU1)
            body([](Vector x) { return x > Vector{} ? x + 1.0f : exp_negative(x); });
        else if (problem.feature_map == RELU)
            body([](Vector x) { return larger(x, Vector{}); });
        else
            body([](Vector x) { return x; });
    }

    // Copies phi of rows of q or k.
    void read_features(const Tensor& from, const Span& span, const Matrix& to) const {
        with_feature_map([&](auto phi) { read(from, span, problem.K, to, phi); });
    }

    // Prefetches R rows of the next chunk: the rows of one head are too far apart for the hardware prefetcher.
    void prefetch(const Tensor& from, const Span& span, int64_t first, int64_t width) const {
        asm volatile("");  // g++ removes calls of a function that only prefetches
        for (int64_t i = first; i < first + R; i++) {
            const int64_t t = span.token(C + i);
            if (t < 0 || t >= problem.T) return;
            const float* row = from.row(b, t, h);
            for (int64_t d = 0; d < width; d += 16) __builtin_prefetch(row + d, 0, 2);
        }
    }

    // Writes a tile of a chunk's rows, each vector multiplied by factor(row, column).
    template <class Tile, class Factor>
    INLINE void write(
        Tile& tile, int64_t first, int64_t column, const Tensor& to, const Span& span, int64_t width, Factor factor
    ) const {
        const auto write_by = [&](auto store_part) {
            tile.each([&](int i, int j, Vector x) {
                const int64_t d = column + j;
                float* row = to.row(b, span.token(first + i), h);
                if (first + i < span.count) store_part(row + d, x * factor(first + i, d), width - d);
            });
        };
        if (column + Tile::columns <= width)
            write_by([](float* to, Vector x, int64_t) { store(to, x); });
        else
            write_by(store_some);
    }

    // Writes dx = phi'(x) dphi. phi' is computed from phi: for x < 0, e^x is phi itself.
    template <class Tile>
    INLINE void write_gradient(
        Tile& tile, int64_t first, int64_t column, const Matrix& features, const Tensor& to, const Span& span
    ) const {
        const auto write_times = [&](auto slope) {
            write(tile, first, column, to, span, problem.K, [&](int64_t i, int64_t d) {
                return slope(load(features.row(i) + d));
            });
        };
        const Vector one = broadcast(1);
        if (problem.feature_map == ELU1)
            write_times([=](Vector phi) { return smaller(phi, one); });
        else if (problem.feature_map == RELU)
            write_times([=](Vector phi) { return phi > Vector{} ? one : Vector{}; });
        else
            write_times([=](Vector) { return one; });
    }

    // Reads the decays of a chunk. In reverse order a token's decay applies one token later:
    // dS_t = q_t do_t^T + e^g_{t+1} dS_{t+1}.
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
