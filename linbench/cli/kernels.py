"""linbench kernels: what compiled kernels take of a GPU, without one."""

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
MIX = ("wgmma", "tcgen05", "mma", "cp.async", "tma", "fma", "all")
HEADER = (
    *("IMPLEMENTATION", "CASE", "ARCH", "KERNEL", "THREADS"),
    *("REGISTERS", "SPILLS", "SHARED", "OCCUPANCY", "BOUND BY"),
)


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Say what kernels take of a GPU."""


@command.command(context_settings=options.SETTINGS)
@click.argument("implementation", required=False)
@options.axes
@click.option(
    "--arch",
    type=types.names(f"write one like {ARCHITECTURES}"),
    default=ARCHITECTURES,
    show_default=True,
    metavar="LIST",
    help="What to compile for.",
)
@options.plugin
@options.output_format("json")
def inspect(
    implementation: str | None, axes: Axes, arch: tuple[str, ...], plugin: tuple[str, ...], form: str
) -> None:
    """Compile the kernels of IMPLEMENTATION, or of all, and print what they take; no GPU is needed.

    \b
    linbench kernels inspect linear/cuda --D 64,128 --dtype bfloat16 --mode fwd_bwd --arch sm_90

    Registers of a thread, bytes of it that spill, shared memory of a block, how many of its warps a
    multiprocessor can hold at most, and how many instructions of each kind the machine code has.
    """  # noqa: D301 - \b is click's mark for text kept as it is
    found = list(_inspected(implementation, axes, arch, plugin))
    if form == "json":
        for name, case, one in found:
            kernel = asdict(one.compiled.kernel)
            record = {"implementation": name, "case": case.to_json(), "arch": one.arch, **kernel}
            record |= {"threads": one.compiled.threads, "occupancy": one.occupancy, "bound": one.bound}
            click.echo(json.dumps(record | {"instructions": one.instructions}))
        return
    rows = [
        [name, f"K{case.K} V{case.V} {case.dtype} {case.mode}", *_cells(one)] for name, case, one in found
    ]
    for line in columns([*HEADER, *(name.upper() for name in MIX)], rows):
        click.echo(line)
    if any(one.instructions is None for _, _, one in found):
        click.echo("no instructions: nvdisasm is neither on PATH nor with Triton", err=True)


def _cells(one: KernelReport) -> list[str]:
    kernel = one.compiled.kernel
    counts = one.instructions or {}
    return [
        one.arch,
        kernel.name,
        str(one.compiled.threads),
        str(kernel.registers),
        format.size(kernel.spills or 0),
        format.size(kernel.shared_bytes or 0),
        f"{one.occupancy:.0%}",
        one.bound,
        *(str(counts.get(name, "")) for name in MIX),
    ]


def _inspected(
    name: str | None, axes: Axes, architectures: Sequence[str], plugins: Sequence[str]
) -> Iterator[tuple[str, Case, KernelReport]]:
    """Yield what is known of each kernel, with the implementation and the case."""
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
    able = [found.name for found in registry.implementations() if found.compiled is not None]
    if name is not None and registry.implementation(name).compiled is None:
        raise UsageError(f"{name} has no kernels to compile; these have: {', '.join(able) or 'none'}")
    names = (name,) if name else tuple(able)
    plan = Plan(Grid("axes", axes=typed_axes(dtype="bfloat16").override(axes)), "cuda", names)
    for job in make_schedule(registry, plan).jobs:
        compiled = registry.implementation(job.implementation).compiled
        if compiled is None:
            continue
        for arch in architectures:
            try:
                found = compiled(job.case, arch)
            except (ImportError, NotImplementedError, RuntimeError) as error:
                raise UsageError(f"{job.implementation} at {job.case}: {error}") from None
            for one in kernels.inspect(found, arch):
                yield job.implementation, job.case, one
