// Turns the sums of segments into the initial states of segments.

#pragma once

#include "linear_attention_roles.h"

constexpr int SCAN_THREADS = 256;

// Replaces in place the contribution of each segment by the state before it (REVERSE: after it); writes the state past
// the last one to S_end, z_end. One thread per element: x over B * H, y over the K * V elements of S, then the K of z.
template <bool REVERSE>
__device__ inline void scan_segments(float* S, float* z, const float* S_start, const float* z_start, float* S_end,
                                     float* z_end, long long segments) {
    const int element_index = blockIdx.y * SCAN_THREADS + threadIdx.x;
    const bool in_S = element_index < K * V;
    const int size = in_S ? K * V : K, i = in_S ? element_index : element_index - K * V;
    if (i >= size) return;
    const long long head = blockIdx.x;
    float* sums = (in_S ? S : z) + head * segments * size + i;
    const float* start = in_S ? S_start : z_start;
    float* end = in_S ? S_end : z_end;
    float running = start ? start[head * size + i] : 0.f;
    for (long long n = 0; n < segments; ++n) {
        float& entry = sums[(REVERSE ? segments - 1 - n : n) * size];
        const float sum = entry;
        entry = running;
        running += sum;
    }
    if (end) end[head * size + i] = running;
}
