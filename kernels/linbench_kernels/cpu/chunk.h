// One chunk of causal linear attention: what comes out of it, and the state after it.
//
//   o_i = start_i S^T q_i + sum_{j <= i} weight_ij (q_i . k_j) v_j      S' = total S + sum_j weight_nj k_j v_j^T
//
// weight_ij = e^(c_i - c_j) is the decay from token j to token i, and start_i = e^c_i that from the chunk's start, where
// c sums the log-decays. Only differences are exponentiated: e^-c alone would overflow.
#pragma once

#include <algorithm>
#include <cmath>

#include "products.h"

#ifndef CHUNK_TOKENS
#define CHUNK_TOKENS 32
#endif
constexpr int C = CHUNK_TOKENS;  // tokens; a multiple of W, small enough that a chunk and a state of 64 x 64 stay near

struct Weights {
    Matrix table;  // [C, C], lower triangular
    float* start;  // [C]
    bool decayed = false;

    void set_ones() {
        for (int64_t i = 0; i < C; i++) {
            start[i] = 1;
            for (int64_t j = 0; j <= i; j++) table.row(i)[j] = 1;
        }
    }

    // c is summed in double and kept in two floats, so that e^(c_i - c_j) is as exact for large c as for small.
    void set(const float* log_decays, int64_t count) {
        alignas(64) float high[C] = {}, low[C] = {};
        double c = 0;
        for (int64_t i = 0; i < count; i++) {
            c += std::max(log_decays[i], -1000.0f);  // e^-1000 is zero, and infinities have no differences
            high[i] = static_cast<float>(c), low[i] = static_cast<float>(c - high[i]);
        }
        for (int64_t j = 0; j < C; j += W) {
            const Vector rounded = exp_negative(load(high + j));
            store(start + j, rounded + rounded * load(low + j));
        }
        for (int64_t i = 0; i < count; i++) {
            for (int64_t j = 0; j < i; j += W)
                store(table.row(i) + j, exp_negative((high[i] - load(high + j)) + (low[i] - load(low + j))));
            for (int64_t j = i + 1; j < padded(i); j++) table.row(i)[j] = 0;
            table.row(i)[i] = 1;
        }
    }
};

// scores[i, j] = weight_ij (q_i . k_j) for the R rows from `first`, whole vectors, zero above the diagonal.
INLINE void set_scores(
    const Matrix& q, const Matrix& kt, int64_t depth, const Weights& weights, int64_t first, const Matrix& scores
) {
    for_panels(padded(first + R), [&](auto vectors, int64_t column) {
        Tile<vectors> tile;
        tile.add_product(q.row(first), q.ld, kt.data + column, kt.ld, depth);
        tile.each([&](int i, int j, Vector x) {
            const Vector weight = load(weights.table.row(first + i) + column + j);
            store(scores.row(i) + column + j, weight != Vector{} ? weight * x : Vector{});
        });
    });
}

inline void scale_rows(const Matrix& from, const float* factors, int64_t rows, int64_t columns, const Matrix& to) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j += W) store(to.row(i) + j, load(from.row(i) + j) * factors[i]);
}

// o[i] for every row of a chunk, and sums[i] = start_i (z . q_i) + sum_j weight_ij (q_i . k_j) unless that is null.
//
// q: [count, depth]; kt: [depth, count]; v: [count, columns]; S: [depth, columns]; z: [depth], zeros in its padding;
// scores: [R, C] and decayed: [R, depth] are overwritten. meanwhile(first row) is called once for every R rows.
template <class Meanwhile>
INLINE void chunk_outputs(
    const Matrix& q, const Matrix& kt, const Matrix& v, const Matrix& S, int64_t depth, int64_t columns,
    int64_t count, const Weights& weights, const Matrix& scores, const Matrix& decayed, const Matrix& o,
    Meanwhile meanwhile, const float* z = nullptr, float* sums = nullptr
) {
    for (int64_t first = 0; first < count; first += R) {
        meanwhile(first);
        set_scores(q, kt, depth, weights, first, scores);
        Matrix queries{q.row(first), q.ld};
        if (weights.decayed) {
            scale_rows(queries, weights.start + first, R, depth, decayed);
            queries = decayed;
        }
        const int64_t seen = first + R < count ? first + R : count;
        for_panels(columns, [&](auto vectors, int64_t column) {
            Tile<vectors> tile;
            tile.add_product(scores.data, scores.ld, v.data + column, v.ld, seen);  // mostly the smaller, so first
            tile.add_product(queries.data, queries.ld, S.data + column, S.ld, depth);
            tile.each([&](int i, int j, Vector x) { store(o.row(first + i) + column + j, x); });
        });
        for (int i = 0; sums && i < R; i++) {
            Vector total{};
            for (int64_t d = 0; d < depth; d += W) total += load(z + d) * load(queries.row(i) + d);
            for (int64_t j = 0; j < seen; j += W) total += load(scores.row(i) + j);
            sums[first + i] = sum(total);
        }
    }
}

// Multiplies v_j by its weight at the chunk's end, which `advance` then need not do.
inline void weigh_to_end(const Matrix& v, int64_t columns, int64_t count, const Weights& weights) {
    if (weights.decayed) scale_rows(v, weights.table.row(count - 1), count, columns, v);
}

// A state and its rounding errors: the sum over chunks is Kahan's.
struct State {
    Matrix sum, errors;
};

// S <- total S + K^T V. The chunk's product is summed apart first, so that S grows once a chunk, not once a token.
inline void advance(
    const Matrix& kt, const Matrix& v, int64_t depth, int64_t columns, int64_t count, float total, const State& S
) {
    for (int64_t first = 0; first < depth; first += R)
        for_panels(columns, [&](auto vectors, int64_t column) {
            Tile<vectors> tile;
            tile.add_product(kt.row(first), kt.ld, v.data + column, v.ld, count);
            tile.each([&](int i, int j, Vector x) {
                float *sum = S.sum.row(first + i) + column + j, *error = S.errors.row(first + i) + column + j;
                const Vector old = load(sum) * total, added = x + load(error) * total, now = old + added;
                store(sum, now);
                store(error, added - (now - old));
            });
        });
}
