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
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")  // early, or an array of accumulators goes to memory
#endif

INLINE Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
INLINE void store(float* to, Vector x) { *reinterpret_cast<Unaligned*>(to) = x; }
INLINE Vector broadcast(float x) { return x - Vector{}; }  // not 0 + x, which is another sum: it turns -0 to 0
INLINE Vector smaller(Vector x, Vector y) { return x < y ? x : y; }
INLINE Vector larger(Vector x, Vector y) { return x > y ? x : y; }
INLINE Vector negative(Vector x) { return smaller(x, Vector{}); }

constexpr int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

INLINE float sum(Vector x) {
    float parts[W], total = 0;
    store(parts, x);
    for (int half = W / 2; half; half /= 2)
        for (int i = 0; i < half; i++) parts[i] += parts[i + half];
    total = parts[0];
    return total;
}

// x . y over `count` floats, rounded up to whole vectors: one of the two is zero in the padding.
INLINE float dot(const float* x, const float* y, int64_t count) {
    Vector total{};
    for (int64_t i = 0; i < count; i += W) total += load(x + i) * load(y + i);
    return sum(total);
}

// e^x for x <= 0, within 1 ulp: 2^n e^r with |r| <= ln 2 / 2 and a minimax polynomial for e^r.
INLINE Vector exp_negative(Vector x) {
    const float round = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
    const Vector shifted = x * 0x1.715476p0f + round, n = shifted - round;
    const Vector r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;  // ln 2 in two parts, the first exact
    Vector p = r * 0x1.6a23dp-10f + 0x1.123a2p-7f;
    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = (p * r) * r + r + 1.0f;
    const Bits power = ((Bits)shifted << 23) + (127 << 23);
    return x < -87.0f ? Vector{} : p * (Vector)power;
}
