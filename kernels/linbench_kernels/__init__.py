"""Triton, CUDA and C++ kernels for attention, each with a thin launcher; usable without linbench."""
