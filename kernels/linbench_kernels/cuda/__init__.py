"""CUDA C++ kernels, compiled on first use for the current device, without nvcc or a build step."""
