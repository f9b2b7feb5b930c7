// The warp-level instructions that the kernels use, and the element types. DTYPE is one of the three below.
//
// This is the only interface between a GPU and the CPU emulation of the tests: with LINBENCH_EMULATION the instructions
// come from cuda_emulation.h, and all code that uses them is the same.

#pragma once

#define FLOAT32 0
#define FLOAT16 1
#define BFLOAT16 2

#ifdef LINBENCH_EMULATION
#include "cuda_emulation.h"
#else
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

__device__ inline unsigned pack_f16(float low, float high) {
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

__device__ inline unsigned pack_bf16(float low, float high) {
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

__device__ inline float2 unpack_f16(unsigned word) {
    float2 pair;
    asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
        : "=f"(pair.x), "=f"(pair.y) : "r"(word));
    return pair;
}
__device__ inline float2 unpack_bf16(unsigned word) {
    return make_float2(__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u));
}
// d[16 x 8] += a[16 x 16] b[16 x 8], for a whole warp, with operands in the fragment layout of the PTX manual.
#define DEFINE_MMA(type)                                                                                       \
    __device__ inline void mma_##type(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {       \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." #type "." #type ".f32 "                          \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                         \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                          \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                          \
    }
DEFINE_MMA(f16)
DEFINE_MMA(bf16)
// Loads four 8 x 8 matrices of 16-bit elements; lane i passes the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}
__device__ inline void load_matrices_transposed(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row)) : "memory");
}
// Copies 16 bytes from global to shared memory asynchronously; writes zeros if not `valid`.
__device__ inline void copy_async(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global), "r"(valid ? 16 : 0) : "memory");
}
// Copies one float32 in the same way.
__device__ inline void copy_number_async(float* shared, const float* global, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global), "r"(valid ? 4 : 0) : "memory");
}
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

#if DTYPE == FLOAT32
using element = float;
#else
using element = unsigned short;  // the bit pattern
#endif

// A word has 32 bits: one float32, or a pair of half-type elements.
__device__ inline unsigned pack(float low, float high) {
    return DTYPE == FLOAT32 ? __float_as_uint(low) : DTYPE == FLOAT16 ? pack_f16(low, high) : pack_bf16(low, high);
}
__device__ inline float2 unpack(unsigned word) {
    if constexpr (DTYPE == FLOAT32) return make_float2(__uint_as_float(word), 0.f);
    if constexpr (DTYPE == FLOAT16) return unpack_f16(word);
    return unpack_bf16(word);
}
__device__ inline float to_float(element x) {
    if constexpr (DTYPE == FLOAT32) return x;
    return unpack((unsigned)x).x;
}
__device__ inline element to_element(float x) {
    if constexpr (DTYPE == FLOAT32) return x;
    return (element)pack(x, 0.f);
}

__device__ inline float warp_sum(float x) {
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}
