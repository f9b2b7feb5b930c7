// Sums of segments to the states that segments start from.

#pragma once

#include "linear_attention_roles.h"

constexpr int SCAN_THREADS = 256;

// In place: what each segment adds becomes the state before it (REVERSE: after it); the state past the other end goes
// to S_end, z_end. A thread an element: x over B * H, y over the K * V elements of S and then the K of z.
template <bool REVERSE>
__device__ inline void scan_segments(float* S, float* z, const float* S_start, const float* z_start, float* S_end,
                                     float* z_end, long long segments) {
    const int element_index = blockIdx.y * SCAN_THREADS + threadIdx.x;
    const bool of_S = element_index < K * V;
    const int size = of_S ? K * V : K, i = of_S ? element_index : element_index - K * V;
    if (i >= size) return;
    const long long head = blockIdx.x;
    float* sums = (of_S ? S : z) + head * segments * size + i;
    const float* start = of_S ? S_start : z_start;
    float* end = of_S ? S_end : z_end;
    float running = start ? start[head * size + i] : 0.f;
    for (long long n = 0; n < segments; ++n) {
        float& place = sums[(REVERSE ? segments - 1 - n : n) * size];
        const float sum = place;
        place = running;
        running += sum;
    }
    if (end) end[head * size + i] = running;
}
