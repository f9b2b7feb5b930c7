"""CUDA C++ kernels, compiled on first use for the device at hand; no nvcc and no build step."""
