"""simple_gla/native: C++ kernels for the CPU."""

from linbench_impls.families.decay.native import native
from linbench_impls.toolkit.register import register

register("simple_gla", "native", native)
