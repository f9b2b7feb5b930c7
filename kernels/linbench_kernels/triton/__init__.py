"""Triton kernels, a module for each mechanism: `from linbench_kernels.triton import linear_attention`."""
