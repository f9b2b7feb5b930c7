"""linbench doctor: describe this machine, and which implementations can run on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import columns, report_broken
from linbench.text import format
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.core.ceiling import Ceiling
    from linbench.core.environment import Environment
    from linbench.core.implementation import Implementation
    from linbench.core.provenance import Code

HEADER = ("CEILING", "DEVICE", "THREADS", "BEST", "MEDIAN", "WORST", "OF")
PROBES = {"cpu": "float32", "cuda": "bfloat16"}


@click.command(context_settings=options.SETTINGS)
@click.option(
    "--ceilings",
    is_flag=True,
    help="Measure the ceilings of this machine instead, and store them for later runs.",
)
@click.option(
    "--device",
    type=types.DEVICE,
    metavar="cpu|cuda",
    help="The device that --ceilings measures.  [default: cuda if a GPU is visible, else cpu]",
)
@options.plugin
@options.db
@options.output_format("json")
def command(ceilings: bool, device: str | None, plugin: Sequence[str], db: str, form: str) -> None:
    """Describe this machine, and which implementations can run on it.

    For each implementation the output shows whether it supports a common case (T = 1024, K = V = 64, float32
    on the CPU and bfloat16 on a CUDA device), or the reason why it does not.

    --ceilings instead measures, for about a minute, the copy bandwidth of each level of memory, the
    throughput of matrix products in each dtype and the dispatch time of an operator. The result is stored
    next to the database, and later runs on this machine have it in their environment.
    """
    if ceilings:
        _measure_ceilings(device, db, form)
        return
    from linbench.core import environment
    from linbench.core.codec import encode
    from linbench.core.gpu import visible_gpus
    from linbench.core.registry import registry

    registry.load(plugin)
    registered = registry.implementations()
    machine = environment.capture(
        {implementation.name: implementation.origin for implementation in registered}
    )
    has_gpu = bool(visible_gpus())
    records = [_unsupported_reasons(implementation, has_gpu) for implementation in registered]
    broken = [{"plugin": plugin.name, "reason": plugin.reason} for plugin in registry.broken]
    if form == "json":
        click.echo(json.dumps({"environment": encode(machine), "implementations": records, "broken": broken}))
        return
    for line in _lines(machine):
        click.echo(printable(line))
    click.echo()
    table = [
        [str(record["implementation"]), record["cpu"] or "yes", record["cuda"] or "yes"] for record in records
    ]
    for line in columns(["IMPLEMENTATION", "ON THE CPU", "ON A CUDA DEVICE"], table):
        click.echo(line)
    report_broken(registry)


def _measure_ceilings(device: str | None, db: str, form: str) -> None:
    """Measure, store and print the ceilings of a device."""
    from linbench import api

    ceilings, path = api.measure_ceilings(device, db=db)
    if form == "json":
        for ceiling in ceilings:
            click.echo(json.dumps(asdict(ceiling)))
        return
    for line in columns(HEADER, [_ceiling_cells(ceiling) for ceiling in ceilings]):
        click.echo(line)
    click.echo(f"stored in {path}")


def _ceiling_cells(ceiling: Ceiling) -> list[str]:
    figures = (
        format.seconds(value) if ceiling.unit == "s" else f"{format.digits(value * 1e-9)} G{ceiling.unit}"
        for value in (ceiling.best, ceiling.median, ceiling.worst)
    )
    return [ceiling.name, ceiling.device, str(ceiling.threads), *figures, ceiling.command]


def _unsupported_reasons(implementation: Implementation, has_gpu: bool) -> dict[str, str | None]:
    """Return the reason why an implementation cannot run on each device; None where it can."""
    from linbench.core.case import Case
    from linbench.core.registry import registry

    reasons: dict[str, str | None] = {"implementation": implementation.name}
    for device, dtype in PROBES.items():
        if device == "cuda" and not has_gpu:
            reasons[device] = "no CUDA device is visible here"
            continue
        case = Case(1, 1024, 8, 64, 64, dtype, "fwd", device)
        try:
            operator = registry.operator(implementation.operator)
            reasons[device] = implementation.unsupported_reason(operator, case)
        except Exception as error:  # unsupported_reason of a plugin may raise anything
            reasons[device] = f"its unsupported_reason failed: {type(error).__name__}: {error}"
    return reasons


def _lines(machine: Environment) -> list[str]:
    """Return the environment as lines, one per part."""
    host = machine.host
    gpus = [f"{gpu.name} ({gpu.memory_bytes / 2**30:.0f} GiB, driver {gpu.driver})" for gpu in machine.gpus]
    return [
        f"host       {host.cpu}, {host.cores} cores, {host.memory_bytes / 2**30:.0f} GiB",
        f"load       {host.load_average}",
        f"system     {host.system}, Python {host.python} at {host.executable}",
        f"gpus       {'; '.join(gpus) or 'none visible'}",
        f"libraries  {', '.join(f'{name} {version}' for name, version in machine.libraries.items())}",
        f"harness    {_code(machine.harness)}",
        *(f"code       {_code(code)}: {len(code.implementations)} implementations" for code in machine.code),
        *(f"variable   {name}={value}" for name, value in machine.variables.items()),
    ]


def _code(code: Code) -> str:
    """Return a distribution or repository with its version and commit."""
    state = f"commit {code.commit[:12]}{', dirty' if code.dirty else ''}" if code.commit else "no commit"
    return " ".join(filter(None, (code.name, code.version, f"({state})")))
