"""linbench selftest: see whether this harness can be believed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from linbench.cli import options
from linbench.cli.text import columns
from linbench.core.case import DEVICES
from linbench.core.errors import UsageError
from linbench.core.quantity import parse_duration
from linbench.report import format

EXIT_MISSED = 3
HEADER = ("FAULT", "", "STATUS", "WHAT IT DOES", "REASON")
NOT_RUN = "not run here: needs a CUDA device"
DEFAULT_BUDGET = "90s"


@click.command(context_settings=options.SETTINGS)
@click.option("--faults", is_flag=True, help="Plant faults instead, and print which are caught.")
@click.option("--device", type=click.Choice(DEVICES), help="[default: cuda if there is one]")
@click.option(
    "--time-budget",
    metavar="DURATION",
    help=f"Begin nothing that would last longer; two runs at least.  [default: {DEFAULT_BUDGET}]",
)
@options.output_format("json")
def command(faults: bool, device: str | None, time_budget: str | None, form: str) -> int:
    """See whether this harness can be believed here.

    It measures the same code as two implementations, in fresh processes, and says how small a difference can
    be told from noise on this machine, how often identical code would be called different, how often a 95%
    interval holds the long-run value, and whether numbers from here are worth publishing.

    --faults runs implementations that each do one thing that none should, like any others, and prints what
    became of each. The exit code is 3 if one is missed.
    """
    if faults and (device or time_budget):
        raise UsageError(
            "--faults takes every device and as long as it needs; leave out --device, --time-budget"
        )
    return _plant(form) if faults else _measure(device, time_budget or DEFAULT_BUDGET, form)


def _measure(device: str | None, time_budget: str, form: str) -> int:
    """Print what the same code measured twice says of this machine."""
    from linbench import api
    from linbench.selftest.machine import measure_machine, verdict

    device = device or api.default_device()
    budget_s = parse_duration(time_budget, "--time-budget")
    click.echo(f"measuring the same code twice on {device}, for {format.seconds(budget_s)} or so", err=True)
    machine = measure_machine(device, budget_s)
    word, reason = verdict(machine)
    if form == "json":
        click.echo(json.dumps(asdict(machine) | {"publish": word, "reason": reason}))
    else:
        for line in _lines(machine):
            click.echo(line)
        click.echo(f"Worth publishing: {word}. {reason[0].upper()}{reason[1:]}.")
    return 0


def _lines(machine: Any) -> Iterator[str]:
    """Yield what was found of a machine as lines."""
    m = machine
    middle, low, high = (_percent(value, "+") for value in m.difference)
    noise, noise_low, noise_high = map(_percent, m.noise)
    effects = ", ".join(f"{_percent(effect)} by {n} processes" for n, effect in m.effects.items())
    step = format.seconds(m.resolution_s) if m.resolution_s else "too fine to show"
    drawn = f"(resampled, {m.processes} processes)"
    found = {
        "timer": f"{m.timer}: overhead {format.seconds(m.overhead_s)}, resolution {step}",
        "call": f"{m.case}  {format.seconds(m.call_s)}",
        "taken": f"{m.runs} runs of {m.processes} processes, in {format.seconds(m.wall_s)}",
        "drift": f"the medians of the runs lie {_percent(m.drift)} apart",
        "same code": f"differs by {middle} [{low}, {high}]; "
        f"in one process by {noise} [{noise_low}, {noise_high}] (standard deviation)",
        "smallest effect": f"{effects} (in pairs, power 95%, 5% false alarms)",
        "false alarms": f"{_percent(m.paired_alarms)} by the paired interval, "
        f"{_percent(m.apart_alarms)} by two intervals apart {drawn}",
        "95% intervals": f"hold the long-run value in {_percent(m.coverage)} {drawn}; "
        f"{m.rows_covering} of {m.rows} rows did",
        "meanwhile": f"others used {m.others_cores:.2g} of {m.cores} processors; "
        f"{m.rows_contended} of {m.rows} rows contended" + ("; throttled" if m.throttled else ""),
    }
    yield from (f"{name:<16} {text}" for name, text in found.items())


def _percent(value: float, sign: str = "") -> str:
    """Return a share as a percentage of three digits."""
    plus = sign if value >= 0 else ""
    return f"{plus}{format.digits(100 * value)}%"


def _plant(form: str) -> int:
    """Print which faults are caught."""
    from linbench.selftest.faults import find_faults

    records = [_record(finding) for finding in find_faults()]
    missed = sum(record["verdict"] == "missed" for record in records)
    if form == "json":
        for record in records:
            click.echo(json.dumps(record))
    else:
        table = [
            [record[name] or "" for name in ("fault", "verdict", "status", "does", "reason")]
            for record in records
        ]
        for line in columns(HEADER, table):
            click.echo(line)
    caught = sum(record["verdict"] == "caught" for record in records)
    not_run = len(records) - caught - missed
    line = f"{caught} of {caught + missed} caught" + (f", {not_run} not run here" if not_run else "")
    click.echo(line, err=form == "json")
    return EXIT_MISSED if missed else 0


def _record(finding: Any) -> dict[str, str | None]:
    """Return what became of a fault as one JSON object."""
    fault, row = finding.fault, finding.row
    if row is None:
        verdict, status, reason = "not run", None, NOT_RUN
    else:
        verdict, status, reason = "caught" if finding.caught else "missed", str(row.status), row.reason
    return {
        "fault": fault.name,
        "does": fault.does,
        "verdict": verdict,
        "status": status,
        "reason": reason,
        "due": f"{fault.status}" + (f": {fault.reason}" if fault.reason else ""),
    }
