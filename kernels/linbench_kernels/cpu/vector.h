// A vector of W floats, with the vector extensions common to g++ and clang++; the build sets W.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

constexpr int W = VECTOR_FLOATS;

typedef float Vector __attribute__((vector_size(4 * W)));
typedef int32_t Bits __attribute__((vector_size(4 * W)));
typedef float Unaligned __attribute__((vector_size(4 * W), aligned(4)));

#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")  // an early pass, so that arrays of accumulators stay in registers
#endif

// x y, a term of a sum of vectors or floats. Every product is a sum of such terms, and the tests count them.
#ifndef TERM
#define TERM(x, y) ((x) * (y))
#endif

INLINE Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
INLINE void store(float* to, Vector x) { *reinterpret_cast<Unaligned*>(to) = x; }
INLINE Vector broadcast(float x) { return x - Vector{}; }  // not 0 + x, which would turn -0 into 0
INLINE Vector smaller(Vector x, Vector y) { return x < y ? x : y; }
INLINE Vector larger(Vector x, Vector y) { return x > y ? x : y; }

constexpr int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

// Load the first `count` floats at an address, with zeros after them; store the first `count` floats of a vector.
INLINE Vector load_some(const float* from, int64_t count) {
    if (__builtin_expect(count >= W, 1)) return load(from);
    float x[W] = {};
    std::memcpy(x, from, count * sizeof(float));
    return load(x);
}
INLINE void store_some(float* to, Vector x, int64_t count) {
    if (__builtin_expect(count >= W, 1)) return store(to, x);
    std::memcpy(to, &x, count * sizeof(float));
}

template <std::size_t... I>
INLINE Bits lanes(std::index_sequence<I...>) {
    return Bits{int(I)...};
}
INLINE Vector first_lanes(Vector x, int64_t count) {
    return lanes(std::make_index_sequence<W>{}) < int(count) ? x : Vector{};
}

template <std::size_t... I>
INLINE Vector permute(Vector x, Vector y, int shift, std::index_sequence<I...>) {
    constexpr int low[] = {int(I / 2 + I % 2 * W)...};
#if defined(__clang__)
    return shift ? __builtin_shufflevector(x, y, (low[I] + W / 2)...) : __builtin_shufflevector(x, y, low[I]...);
#else
    return shift ? __builtin_shuffle(x, y, Bits{(low[I] + W / 2)...}) : __builtin_shuffle(x, y, Bits{low[I]...});
#endif
}
// Returns x0 y0 x1 y1 ... of the first halves of two vectors, or of their second halves.
INLINE Vector interleave(Vector x, Vector y, bool second) {
    return permute(x, y, second, std::make_index_sequence<W>{});
}

// Swaps x[i][j] and x[j][i]: log2 W shuffles of rows r and r + W / 2.
INLINE void transpose(Vector* x) {
    Vector y[W];
    UNROLL for (int step = 1; step < W; step *= 2) {
        UNROLL for (int r = 0; r < W / 2; r++) {
            y[2 * r] = interleave(x[r], x[r + W / 2], false);
            y[2 * r + 1] = interleave(x[r], x[r + W / 2], true);
        }
        UNROLL for (int r = 0; r < W; r++) x[r] = y[r];
    }
}

// Returns the sums of four vectors; the sum of x[i] is in the W / 4 lanes from i W / 4 on.
INLINE Vector four_sums(const Vector* x) {
    const auto fold = [](Vector a, Vector b) { return interleave(a, b, false) + interleave(a, b, true); };
    Vector sums = fold(fold(x[0], x[2]), fold(x[1], x[3]));
    UNROLL for (int n = W / 4; n > 1; n /= 2) sums = fold(sums, sums);
    return sums;
}

// Returns the bits of 2^(i / W) for every lane i, minus i in the bits to which `exp_negative` adds it.
template <std::size_t... I>
INLINE Bits roots_of_two(std::index_sequence<I...>) {
    return (Bits)Vector{float(__builtin_exp2(double(I) / W))...} - Bits{int(I)...} * ((1 << 23) / W);
}
INLINE Bits element(Bits table, Bits index) {  // table[index modulo W]
#if defined(__clang__)
    return __builtin_shufflevector(table, index & (W - 1));
#else
    return __builtin_shuffle(table, index);
#endif
}

// Returns e^x for x <= 0 with a relative error of at most 2^-22 + |x| 2^-28, as 2^(n / W) e^r with |r| <= ln 2 / 2 W;
// the power of two comes from a table of one vector.
INLINE Vector exp_negative(Vector x) {
    const float round = 0x1.8p23f;  // adding it puts the nearest integer into the low bits
    const Vector shifted = x * (W * 0x1.715476p0f) + round, n = shifted - round;
    Vector r = x - n * ((W == 4 ? 0x1.62e4p-1f : 0x1.62e43p-1f) / W);  // error |x| 2^-28 with a fused multiply-add
    if (W == 4) r -= n * (0x1.7f7d1cp-20f / W);  // without one: ln 2 in two parts, the first exact
    Vector p = W < 16 ? r * (1 / 24.0f) + 1 / 6.0f : broadcast(1 / 6.0f);
    p = ((p * r + 0.5f) * r + 1.0f) * r;
    const Bits root = element(roots_of_two(std::make_index_sequence<W>{}), (Bits)shifted);
    const Vector power = (Vector)(root + (Bits)shifted * ((1 << 23) / W));
    return x < -87.0f ? Vector{} : p * power + power;
}
