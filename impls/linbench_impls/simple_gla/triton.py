"""simple_gla/triton: Triton kernels."""

from linbench_impls.families.decay.triton import triton
from linbench_impls.toolkit.register import register

register("simple_gla", "triton", triton(gated=True))
