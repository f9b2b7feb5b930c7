"""`python -m linbench_kernels.cuda.report`: what the kernels of linear attention take of a multiprocessor.

Compiles them for each architecture, which needs no GPU, and prints a Markdown table a variant: threads and
shared memory of a block, and the registers of a thread on each architecture, with the bytes spilled, if any.
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
    found = {
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
        kernels = [found[arch][f"linear_attention_{name}"] for arch in architectures]
        shared = max(dynamic_bytes + kernel.static_shared_bytes for kernel in kernels)
        lines.append(f"| {name} | {threads} | {shared:,} | {' | '.join(map(_registers, kernels))} |")
    return "\n".join(lines)


def _registers(kernel: Resources) -> str:
    spilled = f", {kernel.spill_bytes} B spilled" if kernel.spill_bytes else ""
    return f"{kernel.registers}{spilled}"


def main() -> None:
    """Prints the tables that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m linbench_kernels.cuda.report", description=__doc__)
    parser.add_argument("--K", type=int, nargs="+", default=[64, 128], help="dims of keys (default: 64 128)")
    parser.add_argument("--V", type=int, nargs="+", help="dims of values, one for each K (default: K)")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--feature-map", choices=FEATURE_MAPS, default="elu1")
    parser.add_argument("--arch", nargs="+", default=list(ARCHITECTURES), help="such as sm_90")
    options = parser.parse_args()
    dims_of_values = options.V or options.K
    if len(dims_of_values) != len(options.K):
        parser.error(
            f"--V has {len(dims_of_values)} dims and --K has {len(options.K)}: give one V for each K"
        )
    variants = [
        Variant(K, V, DTYPES[dtype], options.feature_map, True)
        for dtype in options.dtype
        for K, V in zip(options.K, dims_of_values, strict=True)
    ]
    for variant in variants:
        if reason := unsupported_reason(variant.K, variant.V, variant.dtype):
            parser.error(reason)
        sys.stdout.write(table(variant, options.arch) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
