// One chunk of causal linear attention: what comes out of it, and the state after it.
//
//   o_i = start_i S^T q_i + sum_{j <= i} weight_ij (q_i . k_j) v_j      S' = total S + sum_j weight_nj k_j v_j^T
//
// weight_ij is the decay from token j to token i and start_i that from the chunk's start: products of e^g, which can
// only shrink, and never quotients of them, which overflow.
#pragma once

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

    // Sets the weights of a chunk whose i-th token multiplies the state by factors[i] first.
    void set(const float* factors, int64_t count) {
        const Vector least = broadcast(1e-30f);  // below it zero, before products become denormal and slow
        float product = 1;
        for (int64_t i = 0; i < count; i++) {
            product *= factors[i];
            start[i] = product < 1e-30f ? 0 : product;
            for (int64_t j = 0; i && j < C; j += W) {
                const Vector x = load(table.row(i - 1) + j) * factors[i];
                store(table.row(i) + j, x < least ? Vector{} : x);
            }
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
        for (int i = 0; i < R; i++)
            for (int j = 0; j < vectors; j++) {
                const Vector weight = load(weights.table.row(first + i) + column + j * W);
                const Vector x = weight != Vector{} ? weight * tile.sums[i][j] : Vector{};
                store(scores.row(i) + column + j * W, x);
            }
    });
}

// o[i] for every row of a chunk, and score_sums[i] = sum_j weight_ij (q_i . k_j) unless that is null.
//
// q: [count, depth]; kt: [depth, count]; v: [count, columns]; S: [depth, columns]; scores: [R, C], overwritten.
inline void chunk_outputs(
    const Matrix& q, const Matrix& kt, const Matrix& v, const Matrix& S, int64_t depth, int64_t columns,
    int64_t count, const Weights& weights, const Matrix& scores, const Matrix& o, float* score_sums
) {
    for (int64_t first = 0; first < count; first += R) {
        set_scores(q, kt, depth, weights, first, scores);
        const int64_t seen = first + R < count ? first + R : count;
        for_panels(columns, [&](auto vectors, int64_t column) {
            Tile<vectors> tile;
            tile.add_product(q.row(first), q.ld, S.data + column, S.ld, depth);
            if (weights.decayed)
                for (int i = 0; i < R; i++)
                    for (int j = 0; j < vectors; j++) tile.sums[i][j] *= weights.start[first + i];
            tile.add_product(scores.data, scores.ld, v.data + column, v.ld, seen);
            for (int i = 0; i < R; i++)
                for (int j = 0; j < vectors; j++) store(o.row(first + i) + column + j * W, tile.sums[i][j]);
        });
        for (int i = 0; score_sums && i < R; i++) {
            Vector total{};
            for (int64_t j = 0; j < seen; j += W) total += load(scores.row(i) + j);
            score_sums[first + i] = sum(total);
        }
    }
}

// Multiplies v_j by its weight at the chunk's end, which `advance` then need not do.
inline void weigh_to_end(const Matrix& v, int64_t columns, int64_t count, const Weights& weights) {
    if (!weights.decayed) return;
    const float* last = weights.table.row(count - 1);
    for (int64_t j = 0; j < count; j++)
        for (int64_t column = 0; column < columns; column += W)
            store(v.row(j) + column, load(v.row(j) + column) * last[j]);
}

// S <- total S + K^T V. The chunk's product is summed apart first: S is rounded once a chunk, not once a token.
inline void advance(
    const Matrix& kt, const Matrix& v, int64_t depth, int64_t columns, int64_t count, float total, const Matrix& S
) {
    for (int64_t first = 0; first < depth; first += R)
        for_panels(columns, [&](auto vectors, int64_t column) {
            Tile<vectors> tile;
            tile.add_product(kt.row(first), kt.ld, v.data + column, v.ld, count);
            for (int i = 0; i < R; i++)
                for (int j = 0; j < vectors; j++) {
                    float* entry = S.row(first + i) + column + j * W;
                    store(entry, load(entry) * total + tile.sums[i][j]);
                }
        });
}
