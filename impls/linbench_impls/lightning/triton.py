"""lightning/triton: Triton kernels."""

from linbench_impls.families.decay.triton import triton
from linbench_impls.toolkit.register import register

register("lightning", "triton", triton(gated=False))
