"""`python -m linbench_kernels.cuda.report`: the resources that the kernels of linear attention use.

Compiles them for each architecture, which needs no GPU, and prints one Markdown table per variant: threads
and shared memory per block, and the registers per thread on each architecture, with the bytes spilled, if
any.
"""

import argparse
import sys

import torch

from linbench_kernels.cuda.compile import Resources
from linbench_kernels.cuda.linear_attention_plan import FEATURE_MAPS, Variant, unsupported_reason

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def table(variant: Variant, architectures: list[str]) -> str:
    """Returns the Markdown table of one variant."""
    kernels = {
        arch: variant.forward.compile(arch).kernels | variant.backward.compile(arch).kernels
        for arch in architectures
    }
    dtype = str(variant.dtype).removeprefix("torch.")
    lines = [
        f"K = {variant.K}, V = {variant.V}, {dtype}, {variant.feature_map}, normalize={variant.normalize}:",
        "",
        f"| kernel | threads | shared bytes | {' | '.join(architectures)} |",
        f"|---|{'---:|' * (2 + len(architectures))}",
    ]
    for name, (threads, dynamic_bytes) in variant.blocks.items():
        resources = [kernels[arch][f"linear_attention_{name}"] for arch in architectures]
        shared = max(dynamic_bytes + kernel.static_shared_bytes for kernel in resources)
        lines.append(f"| {name} | {threads} | {shared:,} | {' | '.join(map(_registers, resources))} |")
    return "\n".join(lines)


def _registers(kernel: Resources) -> str:
    spills = f", {kernel.spill_bytes} B spilled" if kernel.spill_bytes else ""
    return f"{kernel.registers}{spills}"


def main() -> None:
    """Prints the tables that the command line requests."""
    parser = argparse.ArgumentParser(prog="python -m linbench_kernels.cuda.report", description=__doc__)
    parser.add_argument("--K", type=int, nargs="+", default=[64, 128], help="key head dims (default: 64 128)")
    parser.add_argument("--V", type=int, nargs="+", help="value head dims, one per K (default: K)")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--feature-map", choices=FEATURE_MAPS, default="elu1")
    parser.add_argument("--arch", nargs="+", default=list(ARCHITECTURES), help="such as sm_90")
    options = parser.parse_args()
    value_dims = options.V or options.K
    if len(value_dims) != len(options.K):
        parser.error(f"--V has {len(value_dims)} values and --K has {len(options.K)}: pass one V per K")
    variants = [
        Variant(K, V, DTYPES[dtype], options.feature_map, True)
        for dtype in options.dtype
        for K, V in zip(options.K, value_dims, strict=True)
    ]
    for variant in variants:
        if reason := unsupported_reason(variant.K, variant.V, variant.dtype):
            parser.error(reason)
        sys.stdout.write(table(variant, options.arch) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
