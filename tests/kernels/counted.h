// Counts the multiply-adds of the C++ kernels on one thread; included before their source.
#pragma once

#include <cstdint>

extern "C" {
std::int64_t multiply_adds = 0;
}

#define TERM(x, y) (multiply_adds += sizeof((x) * (y)) / sizeof(float), (x) * (y))
