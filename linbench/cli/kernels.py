"""linbench kernels: print the GPU resources that compiled kernels use, without a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import columns, report_broken
from linbench.core.errors import UsageError
from linbench.text import format

if TYPE_CHECKING:
    from linbench.core.case import Case
    from linbench.core.grid import Axes
    from linbench.profiling.kernels import KernelReport

ARCHITECTURES = "sm_80,sm_90,sm_100"
INSTRUCTIONS = ("wgmma", "tcgen05", "mma", "cp.async", "tma", "fma", "all")
HEADER = (
    *("IMPLEMENTATION", "CASE", "ARCH", "KERNEL", "THREADS"),
    *("REGISTERS", "SPILLS", "SHARED", "OCCUPANCY", "BOUND BY"),
)


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Print the GPU resources that compiled kernels use; no GPU is needed."""


@command.command(context_settings=options.SETTINGS)
@click.argument("implementation", required=False)
@options.axes
@click.option(
    "--arch",
    type=types.names(f"write one like {ARCHITECTURES}"),
    default=ARCHITECTURES,
    show_default=True,
    metavar="LIST",
    help="The architectures to compile for.",
)
@options.plugin
@options.output_format("json")
def inspect(
    implementation: str | None, axes: Axes, arch: tuple[str, ...], plugin: tuple[str, ...], form: str
) -> None:
    """Compile kernels and print the resources they use.

    The kernels are those of IMPLEMENTATION, or of all implementations if it is left out. No GPU is needed.

    \b
    linbench kernels inspect linear/cuda --D 64,128 --dtype bfloat16 --mode fwd_bwd --arch sm_90

    The table shows the registers and the spilled bytes per thread, the shared memory per block, the occupancy
    (resident warps per multiprocessor over the maximum) with the resource that bounds it, and the number of
    instructions of each kind in the machine code.
    """  # noqa: D301 - click does not wrap the paragraph after \b
    reports = list(_inspect(implementation, axes, arch, plugin))
    if form == "json":
        for name, case, report in reports:
            kernel = asdict(report.compiled.kernel)
            record = {"implementation": name, "case": case.to_json(), "arch": report.arch, **kernel}
            record |= {
                "threads": report.compiled.threads,
                "occupancy": report.occupancy,
                "bound": report.bound,
            }
            click.echo(json.dumps(record | {"instructions": report.instructions}))
        return
    rows = [
        [name, f"K{case.K} V{case.V} {case.dtype} {case.mode}", *_cells(report)]
        for name, case, report in reports
    ]
    for line in columns([*HEADER, *(name.upper() for name in INSTRUCTIONS)], rows):
        click.echo(line)
    if any(report.instructions is None for _, _, report in reports):
        click.echo(
            "instructions are not counted: nvdisasm is neither on PATH nor installed with Triton", err=True
        )


def _cells(report: KernelReport) -> list[str]:
    kernel = report.compiled.kernel
    counts = report.instructions or {}
    return [
        report.arch,
        kernel.name,
        str(report.compiled.threads),
        str(kernel.registers),
        format.size(kernel.spills or 0),
        format.size(kernel.shared_bytes or 0),
        f"{report.occupancy:.0%}",
        report.bound,
        *(str(counts.get(name, "")) for name in INSTRUCTIONS),
    ]


def _inspect(
    name: str | None, axes: Axes, architectures: Sequence[str], plugins: Sequence[str]
) -> Iterator[tuple[str, Case, KernelReport]]:
    """Compile the kernels and yield a report of each, with its implementation and case."""
    from linbench.core.grid import Grid, typed_axes
    from linbench.core.plan import Plan
    from linbench.core.registry import registry
    from linbench.execution.schedule import make_schedule
    from linbench.profiling import kernels

    for arch in architectures:
        if arch not in kernels.SHARED_BYTES:
            raise UsageError(f"--arch: {arch!r} is not one of {', '.join(kernels.SHARED_BYTES)}")
    try:
        registry.load(plugins)
    finally:
        report_broken(registry)
    compilable = [
        implementation.name
        for implementation in registry.implementations()
        if implementation.compiled is not None
    ]
    if name is not None and registry.implementation(name).compiled is None:
        raise UsageError(f"{name} has no kernels to compile; these have: {', '.join(compilable) or 'none'}")
    names = (name,) if name else tuple(compilable)
    plan = Plan(Grid("axes", axes=typed_axes(dtype="bfloat16").override(axes)), "cuda", names)
    for job in make_schedule(registry, plan).jobs:
        compile_kernels = registry.implementation(job.implementation).compiled
        if compile_kernels is None:
            continue
        for arch in architectures:
            try:
                compiled_kernels = compile_kernels(job.case, arch)
            except (ImportError, NotImplementedError, RuntimeError) as error:
                raise UsageError(f"{job.implementation} at {job.case}: {error}") from None
            for report in kernels.inspect(compiled_kernels, arch):
                yield job.implementation, job.case, report
