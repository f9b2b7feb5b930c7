"""linbench selftest: see whether this harness can be believed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import columns
from linbench.core.errors import UsageError
from linbench.text import format

if TYPE_CHECKING:
    from linbench.selftest.faults import Finding
    from linbench.selftest.machine import Machine
    from linbench.selftest.slowdowns import SlowdownReport

EXIT_MISSED = 3
HEADER = ("FAULT", "", "STATUS", "WHAT IT DOES", "REASON")
NOT_RUN = "not run here: needs a CUDA device"
TIME_LIMIT_S = 90.0
SLOWDOWNS_TIME_LIMIT_S = 600.0


@click.command(context_settings=options.SETTINGS)
@click.option("--faults", is_flag=True, help="Plant faults instead, and print which are caught.")
@options.device
@click.option(
    "--time-limit",
    type=types.DURATION,
    metavar="DURATION",
    help="Begin nothing that would last longer.  [default: 90s; --slowdowns: 10m]",
)
@click.option("--slowdowns", is_flag=True, help="Measure injected slowdowns, and print how many are found.")
@options.output_format("json")
def command(faults: bool, device: str | None, time_limit: float | None, slowdowns: bool, form: str) -> int:
    """See whether this harness can be believed here.

    It measures the same code as two implementations, in fresh processes, and says how small a difference can
    be told from noise on this machine, how often identical code would be called different, how often a 95%
    interval holds the long-run value, and whether numbers from here are worth publishing.

    --faults runs implementations that each do one thing that none should, like any others, and prints what
    became of each. The exit code is 3 if one is missed.

    --slowdowns measures slowdowns of 0, 1, 2, 3, 5 and 10% that are really there, as `linbench compare` does,
    and says how often it finds them, and calls the same code slower.
    """
    if faults and (device or time_limit or slowdowns):
        raise UsageError(
            "--faults takes every device and as long as it needs; "
            "leave out --device, --time-limit, --slowdowns"
        )
    if slowdowns:
        return _measure_slowdowns(device, time_limit or SLOWDOWNS_TIME_LIMIT_S, form)
    return _plant(form) if faults else _measure(device, time_limit or TIME_LIMIT_S, form)


def _measure(device: str | None, time_limit_s: float, form: str) -> int:
    """Print what the same code measured twice says of this machine."""
    from linbench import api
    from linbench.selftest.machine import measure_machine, verdict

    device = device or api.default_device()
    click.echo(
        f"measuring the same code twice on {device}, for {format.seconds(time_limit_s)} or so", err=True
    )
    machine = measure_machine(device, time_limit_s)
    word, reason = verdict(machine)
    if form == "json":
        click.echo(json.dumps(asdict(machine) | {"publish": word, "reason": reason}))
    else:
        for line in _lines(machine):
            click.echo(line)
        click.echo(f"Worth publishing: {word}. {reason[0].upper()}{reason[1:]}.")
    return 0


def _measure_slowdowns(device: str | None, time_limit_s: float, form: str) -> int:
    """Print how often slowdowns that are really there are found."""
    from linbench import api
    from linbench.selftest.slowdowns import PROCESSES, measure_slowdowns, summarize

    device = device or api.default_device()
    click.echo(
        f"measuring injected slowdowns on {device}, for {format.seconds(time_limit_s)} at most", err=True
    )
    report = summarize(
        measure_slowdowns(
            device, time_limit_s, lambda n: click.echo(f"{n} of {PROCESSES} processes of each", err=True)
        )
    )
    if form == "json":
        click.echo(json.dumps(asdict(report)))
        return 0
    for line in slowdown_lines(report):
        click.echo(line)
    return 0


def slowdown_lines(report: SlowdownReport) -> Iterator[str]:
    """Yield what was found of the slowdowns as lines."""
    slowdowns = report.slowdowns
    load, later = (format.digits(value) for value in report.load)
    yield f"{report.case}  {format.seconds(report.call_s)} a call; load {load} before, {later} after"
    yield (
        f"{slowdowns[-1].processes} fresh processes of each slowdown and {slowdowns[0].processes} of the "
        f"same code in {format.seconds(report.wall_s)}; "
        f"{report.draws} comparisons drawn from them"
    )
    header = ["SLOWDOWN", *(f"{slowdown.extra:.0%}" for slowdown in slowdowns)]
    slower = ["called slower", *(f"{slowdown.slower:.1%}" for slowdown in slowdowns)]
    measured = ["measured", *(_percent(slowdown.effect[0], "+") for slowdown in slowdowns)]
    took = ["seconds a case", *(format.digits(slowdown.wall_s) for slowdown in slowdowns)]
    yield from columns(header, [slower, measured, took])
    yield (
        f"{report.cases} cases of the same code, drawn from its {slowdowns[0].processes} processes: "
        f"{report.flags_alone} called different when looked at one by one, {report.flags_suite} as a suite"
    )
    yield f"95% intervals of ten processes hold the effect of all in {_percent(report.coverage)}"


def _lines(machine: Machine) -> Iterator[str]:
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
        "minimum detectable effect": f"{effects} (in pairs, power 95%, 5% false alarms)",
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


def _record(finding: Finding) -> dict[str, str | None]:
    """Return what became of a fault as one JSON object."""
    fault, row = finding.fault, finding.row
    return {
        "fault": fault.name,
        "does": fault.summary,
        "verdict": "not run" if row is None else "caught" if finding.caught else "missed",
        "status": str(row.status) if row else None,
        "reason": row.reason if row else NOT_RUN,
        "due": f"{fault.status}" + (f": {fault.reason}" if fault.reason else ""),
    }
