"""linbench doctor: what this machine is, and what can run on it and why not."""

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
@click.option("--ceilings", is_flag=True, help="Measure what this machine does at most; for later runs too.")
@click.option(
    "--device",
    type=types.DEVICE,
    metavar="cpu|cuda",
    help="Of --ceilings.  [default: cuda if there is one]",
)
@options.plugin
@options.db
@options.output_format("json")
def command(ceilings: bool, device: str | None, plugin: Sequence[str], db: str, form: str) -> None:
    """Say what this machine is, and what can run on it and why not.

    Each implementation is asked whether it takes a common case: T = 1024, K = V = 64, float32 on the CPU
    and bfloat16 on a CUDA device.

    --ceilings measures instead how fast each level of memory is copied, matrices are multiplied in each type,
    and an operator is dispatched, for about a minute, and keeps that beside the database. Later runs on this
    machine have it in their environment.
    """
    if ceilings:
        _measure_ceilings(device, db, form)
        return
    from linbench.core import environment
    from linbench.core.codec import encode
    from linbench.core.gpu import visible_gpus
    from linbench.core.registry import registry

    registry.load(plugin)
    machine = environment.capture({found.name: found.origin for found in registry.implementations()})
    verdicts = [_verdict(found, bool(visible_gpus())) for found in registry.implementations()]
    broken = [{"plugin": found.name, "reason": found.reason} for found in registry.broken]
    if form == "json":
        click.echo(
            json.dumps({"environment": encode(machine), "implementations": verdicts, "broken": broken})
        )
        return
    for line in _lines(machine):
        click.echo(printable(line))
    click.echo()
    table = [
        [str(found["implementation"]), found["cpu"] or "yes", found["cuda"] or "yes"] for found in verdicts
    ]
    for line in columns(["IMPLEMENTATION", "ON THE CPU", "ON A CUDA DEVICE"], table):
        click.echo(line)
    report_broken(registry)


def _measure_ceilings(device: str | None, db: str, form: str) -> None:
    """Measure, keep and print the ceilings of a kind of device."""
    from linbench import api

    found, path = api.measure_ceilings(device, db=db)
    if form == "json":
        for one in found:
            click.echo(json.dumps(asdict(one)))
        return
    for line in columns(HEADER, [_ceiling(one) for one in found]):
        click.echo(line)
    click.echo(f"kept in {path}")


def _ceiling(one: Ceiling) -> list[str]:
    figures = (
        format.seconds(value) if one.unit == "s" else f"{format.digits(value * 1e-9)} G{one.unit}"
        for value in (one.best, one.median, one.worst)
    )
    return [one.name, one.device, str(one.threads), *figures, one.command]


def _verdict(found: Implementation, has_gpu: bool) -> dict[str, str | None]:
    """Return why an implementation cannot run on each kind of device, None where it can."""
    from linbench.core.case import Case
    from linbench.core.registry import registry

    verdict: dict[str, str | None] = {"implementation": found.name}
    for device, dtype in PROBES.items():
        if device == "cuda" and not has_gpu:
            verdict[device] = "no CUDA device is visible here"
            continue
        case = Case(1, 1024, 8, 64, 64, dtype, "fwd", device)
        try:
            verdict[device] = found.unsupported_reason(registry.operator(found.operator), case)
        except Exception as error:  # a stranger's unsupported_reason may raise anything
            verdict[device] = f"its unsupported_reason failed: {type(error).__name__}: {error}"
    return verdict


def _lines(machine: Environment) -> list[str]:
    """Return the environment, a line a part."""
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
    state = f"commit {code.commit[:12]}{', dirty' if code.dirty else ''}" if code.commit else "not a checkout"
    return " ".join(filter(None, (code.name, code.version, f"({state})")))
