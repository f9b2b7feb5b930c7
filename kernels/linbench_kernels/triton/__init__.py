"""Triton kernels, one module per mechanism: `from linbench_kernels.triton import linear_attention`."""
