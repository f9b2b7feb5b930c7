// One chunk of causal linear attention: its outputs, and the state after it.
//
//   o_i = start_i S^T q_i + sum_{j <= i} weight_ij (q_i . k_j) v_j      S' = total S + sum_j weight_nj k_j v_j^T
//
// weight_ij = e^(c_i - c_j) is the decay from token j to token i, and start_i = e^c_i is the decay since the chunk's
// start, where c is the cumulative sum of the log-decays. Only differences are exponentiated: e^-c would overflow.
#pragma once

#include <algorithm>
#include <cmath>

#include "products.h"

constexpr int C = 16;  // tokens; a multiple of W and of R
constexpr float EPSILON = 1e-6f;

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

    // c is summed in double and stored in two floats, so e^(c_i - c_j) is as accurate for large c as for small c.
    void set(const float* log_decays, int64_t count) {
        alignas(64) float high[C] = {}, low[C] = {};
        double c = 0;
        for (int64_t i = 0; i < count; i++) {
            c += std::max(log_decays[i], -1000.0f);  // e^-1000 is zero, and differences of infinities are NaN
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

// Sets scores[i, j] = weight_ij (q_i . k_j) for the R rows from `first`, in whole vectors, zero above the diagonal.
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

// Outputs of `chunk_outputs` besides o, and their inputs; null if not requested.
struct Sums {
    const float* z = nullptr;        // [depth], zeros in its padding
    float* reciprocals = nullptr;    // [C]: 1 / (start_i (z . q_i) + sum_j weight_ij (q_i . k_j) + EPSILON)
    const Matrix* rows = nullptr;    // [C, columns]
    float* products = nullptr;       // [C]: rows_i . o_i without the contribution of token i itself to o_i
};

// Calls write(tile, first row, first column) for tiles that cover o.
//
// q: [count, depth]; kt: [depth, count]; v: [count, columns]; S: [depth, columns]; scores: [R, C] and decayed: [R,
// depth] are overwritten. prefetch(first row) is called once for every R rows.
template <class Write, class Prefetch>
INLINE void chunk_outputs(
    const Matrix& q, const Matrix& kt, const Matrix& v, const Matrix& S, int64_t depth, int64_t columns, int64_t count,
    const Weights& weights, const Matrix& scores, const Matrix& decayed, const Sums& sums, Write write,
    Prefetch prefetch
) {
    for (int64_t first = 0; first < count; first += R) {
        prefetch(first);
        set_scores(q, kt, depth, weights, first, scores);
        Matrix queries{q.row(first), q.ld};
        if (weights.decayed) {
            scale_rows(queries, weights.start + first, R, depth, decayed);
            queries = decayed;
        }
        const int64_t visible = first + R < count ? first + R : count;
        if (sums.reciprocals) {
            Vector totals[R] = {};
            for (int i = 0; i < R; i++) {
                for (int64_t d = 0; d < depth; d += W) totals[i] += TERM(load(sums.z + d), load(queries.row(i) + d));
                for (int64_t j = 0; j < visible; j += W) totals[i] += load(scores.row(i) + j);
            }
            const Vector reciprocals = 1 / (four_sums(totals) + EPSILON);
            for (int i = 0; i < R; i++) sums.reciprocals[first + i] = reciprocals[i * W / R];
        }
        float diagonal[R] = {};
        for (int i = 0; sums.products && i < R; i++) std::swap(diagonal[i], scores.row(i)[first + i]);
        Vector products[R] = {};
        // Not inlined: otherwise tiles share 16 registers with the surrounding code, and g++ spills accumulators.
        for_panels(columns, [&](auto vectors, int64_t column) NOINLINE {
            Tile<vectors> tile;
            tile.add_product(scores.data, scores.ld, v.data + column, v.ld, visible);  // usually smaller, so first
            tile.add_product(queries.data, queries.ld, S.data + column, S.ld, depth);
            if (sums.products)
                tile.each([&](int i, int j, Vector& x) {
                    products[i] += TERM(x, load(sums.rows->row(first + i) + column + j));
                    x += TERM(diagonal[i], load(v.row(first + i) + column + j));
                });
            write(tile, first, column);
        });
        if (sums.products) {
            const Vector total = four_sums(products);
            for (int i = 0; i < R; i++) sums.products[first + i] = total[i * W / R];
        }
    }
}

// Multiplies v_j by its weight at the chunk's end, so `advance` does not have to.
inline void scale_to_end(const Matrix& v, int64_t columns, int64_t count, const Weights& weights) {
    if (weights.decayed) scale_rows(v, weights.table.row(count - 1), count, columns, v);
}

// A state and its rounding errors: the sum over chunks is a Kahan sum.
struct State {
    Matrix sum, errors;
};

// S <- total S + K^T V. The chunk's product is summed separately first, so S is updated once per chunk, not per token.
inline void advance(
    const Matrix& kt, const Matrix& v, int64_t depth, int64_t columns, int64_t count, float total, const State& S
) {
    for (int64_t first = 0; first < depth; first += R)
        for_panels(columns, [&](auto vectors, int64_t column) {
            float *sums = S.sum.row(first) + column, *errors = S.errors.row(first) + column;
            Tile<vectors> tile;
            tile.each([&](int i, int j, Vector& x) { x = load(errors + i * S.errors.ld + j) * total; });
            tile.add_product(kt.row(first), kt.ld, v.data + column, v.ld, count);
            tile.each([&](int i, int j, Vector x) {
                const Vector old = load(sums + i * S.sum.ld + j) * total, sum = old + x;
                store(sums + i * S.sum.ld + j, sum);
                store(errors + i * S.errors.ld + j, x - (sum - old));
            });
        });
}
