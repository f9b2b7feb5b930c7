// Small matrix products in registers.
//
// A tile has R rows by N vectors of accumulators. For every step of the depth it loads N vectors of the right factor
// and R single floats of the left factor, and does R N multiply-adds, so loads are not the bottleneck. R N + N + 1
// vectors fit in the registers: 16 up to AVX2, 32 with AVX-512. The rows of the left factor are contiguous along the
// depth; the rows of a chunk and of a state are padded to whole tiles, so no tile is partial.
#pragma once

#include "vector.h"

constexpr int R = 4;
constexpr int MAX_VECTORS = W == 16 ? 4 : 3;

struct Matrix {
    float* data;
    int64_t ld;  // leading dimension in floats, a multiple of W
    float* row(int64_t i) const { return data + i * ld; }
};

template <int N>
struct Tile {
    static constexpr int columns = N * W;
    Vector sums[R][N];

    INLINE Tile() {
        each([](int, int, Vector& x) { x = Vector{}; });
    }

    INLINE void add_product(const float* left, int64_t left_ld, const float* right, int64_t right_ld, int64_t depth) {
        for (int64_t k = 0; k < depth; k++) {
            Vector b[N];
            UNROLL for (int j = 0; j < N; j++) b[j] = load(right + k * right_ld + j * W);
            UNROLL for (int i = 0; i < R; i++) {
                const Vector a = broadcast(left[i * left_ld + k]);
                UNROLL for (int j = 0; j < N; j++) sums[i][j] += TERM(a, b[j]);
            }
        }
    }

    // Calls body(row, first column, vector) for every vector.
    template <class Body>
    INLINE void each(Body body) {
        UNROLL for (int i = 0; i < R; i++)
            UNROLL for (int j = 0; j < N; j++) body(i, j * W, sums[i][j]);
    }
};

// Calls body(vectors as a constant, first column) for tiles that cover `columns`, a multiple of W.
template <class Body>
INLINE void for_panels(int64_t columns, Body body) {
    int64_t first = 0;
    for (; first + MAX_VECTORS * W <= columns; first += MAX_VECTORS * W)
        body(std::integral_constant<int, MAX_VECTORS>{}, first);
    switch ((columns - first) / W) {
        case 3: body(std::integral_constant<int, 3>{}, first); break;
        case 2: body(std::integral_constant<int, 2>{}, first); break;
        case 1: body(std::integral_constant<int, 1>{}, first); break;
    }
}

// Sets to[j][i] = from[i][j] for i < rows and j < columns, both rounded up to multiples of W.
inline void transpose(const Matrix& from, int64_t rows, int64_t columns, const Matrix& to) {
    for (int64_t i = 0; i < rows; i += W)
        for (int64_t j = 0; j < columns; j += W) {
            Vector x[W];
            UNROLL for (int r = 0; r < W; r++) x[r] = load(from.row(i + r) + j);
            transpose(x);
            UNROLL for (int r = 0; r < W; r++) store(to.row(j + r) + i, x[r]);
        }
}
