// A vector of W floats, in the vector extensions that g++ and clang++ share; W comes from the build.
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
#define UNROLL _Pragma("GCC unroll 16")  // early, or an array of accumulators goes to memory
#endif

// x y, a term of a sum: of vectors or floats, what every product is made of. Tests count how many there are.
#ifndef TERM
#define TERM(x, y) ((x) * (y))
#endif

INLINE Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
INLINE void store(float* to, Vector x) { *reinterpret_cast<Unaligned*>(to) = x; }
INLINE Vector broadcast(float x) { return x - Vector{}; }  // not 0 + x, which is another sum: it turns -0 to 0
INLINE Vector smaller(Vector x, Vector y) { return x < y ? x : y; }
INLINE Vector larger(Vector x, Vector y) { return x > y ? x : y; }

constexpr int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

// The first `count` floats of an address, zeros after them; and those of a vector written there.
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
INLINE Vector permuted(Vector x, Vector y, int shift, std::index_sequence<I...>) {
    constexpr int low[] = {int(I / 2 + I % 2 * W)...};
#if defined(__clang__)
    return shift ? __builtin_shufflevector(x, y, (low[I] + W / 2)...) : __builtin_shufflevector(x, y, low[I]...);
#else
    return shift ? __builtin_shuffle(x, y, Bits{(low[I] + W / 2)...}) : __builtin_shuffle(x, y, Bits{low[I]...});
#endif
}
// x0 y0 x1 y1 ..., of the first halves of two vectors or of the second ones.
INLINE Vector interleaved(Vector x, Vector y, bool second) {
    return permuted(x, y, second, std::make_index_sequence<W>{});
}

// x[i][j] and x[j][i] change places: log2 W shuffles of rows r and r + W / 2.
INLINE void transpose(Vector* x) {
    Vector y[W];
    UNROLL for (int step = 1; step < W; step *= 2) {
        UNROLL for (int r = 0; r < W / 2; r++) {
            y[2 * r] = interleaved(x[r], x[r + W / 2], false);
            y[2 * r + 1] = interleaved(x[r], x[r + W / 2], true);
        }
        UNROLL for (int r = 0; r < W; r++) x[r] = y[r];
    }
}

// The sums of four vectors: lanes i W / 4 and after it have that of x[i].
INLINE Vector four_sums(const Vector* x) {
    const auto folded = [](Vector a, Vector b) { return interleaved(a, b, false) + interleaved(a, b, true); };
    Vector sums = folded(folded(x[0], x[2]), folded(x[1], x[3]));
    UNROLL for (int n = W / 4; n > 1; n /= 2) sums = folded(sums, sums);
    return sums;
}

// 2^(i / W) of every lane i, as bits, less i in the bits where `exp_negative` adds it.
template <std::size_t... I>
INLINE Bits roots_of_two(std::index_sequence<I...>) {
    return (Bits)Vector{float(__builtin_exp2(double(I) / W))...} - Bits{int(I)...} * ((1 << 23) / W);
}
INLINE Bits element(Bits of, Bits index) {  // of index modulo W
#if defined(__clang__)
    return __builtin_shufflevector(of, index & (W - 1));
#else
    return __builtin_shuffle(of, index);
#endif
}

// e^x for x <= 0, relative error within 2^-22 + |x| 2^-28: 2^(n / W) e^r with |r| <= ln 2 / 2 W, the power from
// a table of one vector.
INLINE Vector exp_negative(Vector x) {
    const float round = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
    const Vector shifted = x * (W * 0x1.715476p0f) + round, n = shifted - round;
    Vector r = x - n * ((W == 4 ? 0x1.62e4p-1f : 0x1.62e43p-1f) / W);  // |x| 2^-28 off, if multiply and add are fused
    if (W == 4) r -= n * (0x1.7f7d1cp-20f / W);  // they are not: ln 2 in two parts, the first exact
    Vector p = W < 16 ? r * (1 / 24.0f) + 1 / 6.0f : broadcast(1 / 6.0f);
    p = ((p * r + 0.5f) * r + 1.0f) * r;
    const Bits root = element(roots_of_two(std::make_index_sequence<W>{}), (Bits)shifted);
    const Vector power = (Vector)(root + (Bits)shifted * ((1 << 23) / W));
    return x < -87.0f ? Vector{} : p * power + power;
}
