"""linbench selftest: test whether the measurements of this harness can be trusted on this machine."""

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
SENSITIVITY_HEADER = ("OPERATOR", "DTYPE", "ROW", "LAST TOKEN", "HEAD", "GRADIENT ROW", "GRADIENT HEAD")
HEADER = ("FAULT", "", "STATUS", "WHAT IT DOES", "REASON")
NOT_RUN = "not run here: needs a CUDA device"
LABEL_WIDTH = 25
TIME_LIMIT_S = 90.0
SLOWDOWNS_TIME_LIMIT_S = 600.0


@click.command(context_settings=options.SETTINGS)
@click.option(
    "--faults", is_flag=True, help="Run faulty implementations instead, and print which faults are caught."
)
@options.device
@click.option(
    "--time-limit",
    type=types.DURATION,
    metavar="DURATION",
    help="Start no step that would end later.  [default: 90s; 10m with --slowdowns]",
)
@click.option(
    "--slowdowns",
    is_flag=True,
    help="Measure injected slowdowns instead, and print how often they are detected.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Print instead the smallest error of each operator that is called wrong, by data type.",
)
@options.output_format("json")
def command(
    faults: bool,
    device: str | None,
    time_limit: float | None,
    slowdowns: bool,
    sensitivity: bool,
    form: str,
) -> int:
    """Test whether the measurements of this harness can be trusted on this machine.

    The test is an A/A test: it measures the same code as two implementations in fresh processes. It prints
    the minimum detectable effect on this machine, the false-positive rate, how often a 95% interval covers
    the long-run value, and whether figures from this machine are worth publishing.

    --faults instead measures implementations with one fault each, as `linbench run` does, and prints which
    faults are caught. The exit code is 3 if one is missed.

    --slowdowns instead measures injected slowdowns of 0, 1, 2, 3, 5 and 10%, as `linbench compare` does, and
    prints how often each is detected, and how often identical code is called slower.

    --sensitivity instead computes tolerances at B = 1, T = 1,000, H = 4, K = 64, V = 32, and prints, for each
    operator and data type, the smallest relative error of a row, of the last token and of the scale of a head
    that makes a result wrong, for the output and for the least sensitive gradient.
    """
    if sensitivity:
        if faults or slowdowns or time_limit:
            raise UsageError("--sensitivity measures no time; leave out --faults, --slowdowns, --time-limit")
        return _print_sensitivity(device, form)
    if faults and (device or time_limit or slowdowns):
        raise UsageError(
            "--faults runs on every device and without a time limit; "
            "leave out --device, --time-limit, --slowdowns"
        )
    if slowdowns:
        return _measure_slowdowns(device, time_limit or SLOWDOWNS_TIME_LIMIT_S, form)
    return _find_faults(form) if faults else _measure(device, time_limit or TIME_LIMIT_S, form)


def _print_sensitivity(device: str | None, form: str) -> int:
    """Print the smallest errors that are called wrong."""
    from linbench import api
    from linbench.core.registry import registry
    from linbench.selftest.sensitivity import sensitivities

    registry.load()
    rows = []
    for item in sensitivities(registry, device or api.default_device()):
        if form == "json":
            click.echo(json.dumps(asdict(item)))
            continue
        errors = (item.row, item.last_token, item.head, item.gradient_row, item.gradient_head)
        texts = [f"{error:.1e}" for error in errors] if not item.refused else ["refused", "", "", "", ""]
        rows.append([item.operator, item.dtype, *texts])
    if rows:
        for line in columns(SENSITIVITY_HEADER, rows):
            click.echo(line)
    return 0


def _measure(device: str | None, time_limit_s: float, form: str) -> int:
    """Measure the same code twice on this machine and print the result."""
    from linbench import api
    from linbench.selftest.machine import measure_machine, verdict

    device = device or api.default_device()
    click.echo(
        f"measuring the same code twice on {device} for about {format.seconds(time_limit_s)}", err=True
    )
    machine = measure_machine(device, time_limit_s)
    answer, reason = verdict(machine)
    if form == "json":
        click.echo(json.dumps(asdict(machine) | {"publish": answer, "reason": reason}))
    else:
        for line in _lines(machine):
            click.echo(line)
        click.echo(f"Worth publishing: {answer}. {reason[0].upper()}{reason[1:]}.")
    return 0


def _measure_slowdowns(device: str | None, time_limit_s: float, form: str) -> int:
    """Measure injected slowdowns and print how often they are detected."""
    from linbench import api
    from linbench.selftest.slowdowns import PROCESSES, measure_slowdowns, summarize

    device = device or api.default_device()
    click.echo(
        f"measuring injected slowdowns on {device} for at most {format.seconds(time_limit_s)}", err=True
    )
    report = summarize(
        measure_slowdowns(
            device, time_limit_s, lambda n: click.echo(f"{n} of {PROCESSES} processes per slowdown", err=True)
        )
    )
    if form == "json":
        click.echo(json.dumps(asdict(report)))
        return 0
    for line in slowdown_lines(report):
        click.echo(line)
    return 0


def slowdown_lines(report: SlowdownReport) -> Iterator[str]:
    """Yield the lines of a report on injected slowdowns."""
    slowdowns = report.slowdowns
    load_before, load_after = (format.digits(value) for value in report.load)
    yield (
        f"{report.case}  {format.seconds(report.call_s)} per call; load {load_before} before, "
        f"{load_after} after"
    )
    yield (
        f"{slowdowns[-1].processes} fresh processes of each slowdown and {slowdowns[0].processes} of the "
        f"same code in {format.seconds(report.wall_s)}; "
        f"{report.draws} comparisons resampled from them"
    )
    header = ["SLOWDOWN", *(f"{slowdown.extra:.0%}" for slowdown in slowdowns)]
    slower = ["called slower", *(f"{slowdown.slower:.1%}" for slowdown in slowdowns)]
    effects = ["measured", *(_percent(slowdown.effect[0], "+") for slowdown in slowdowns)]
    durations = ["seconds per case", *(format.digits(slowdown.wall_s) for slowdown in slowdowns)]
    yield from columns(header, [slower, effects, durations])
    yield (
        f"{report.cases} cases of the same code, resampled from its {slowdowns[0].processes} processes: "
        f"{report.flags_alone} called different when judged one by one, {report.flags_suite} as a suite"
    )
    yield f"95% intervals of ten processes cover the effect of all processes in {_percent(report.coverage)}"


def _lines(machine: Machine) -> Iterator[str]:
    """Yield the lines of an A/A test of a machine."""
    m = machine
    difference, low, high = (_percent(value, "+") for value in m.difference)
    noise, noise_low, noise_high = map(_percent, m.noise)
    effects = ", ".join(f"{_percent(effect)} by {n} processes" for n, effect in m.effects.items())
    step = format.seconds(m.resolution_s) if m.resolution_s else "too fine to show"
    resampling = f"(resampled, {m.processes} processes)"
    texts = {
        "timer": f"{m.timer}: overhead {format.seconds(m.overhead_s)}, resolution {step}",
        "call": f"{m.case}  {format.seconds(m.call_s)}",
        "runs": f"{m.runs} runs of {m.processes} processes in {format.seconds(m.wall_s)}",
        "drift": f"the medians of the runs differ by up to {_percent(m.drift)}",
        "same code": f"differs by {difference} [{low}, {high}]; "
        f"in one process by {noise} [{noise_low}, {noise_high}] (standard deviation)",
        "minimum detectable effect": f"{effects} (in pairs, power 95%, false-positive rate 5%)",
        "false alarms": f"{_percent(m.paired_alarms)} by the paired interval, "
        f"{_percent(m.apart_alarms)} by two intervals that do not overlap {resampling}",
        "95% intervals": f"cover the long-run value in {_percent(m.coverage)} {resampling}; "
        f"those of {m.rows_covering} of {m.rows} rows do",
        "other load": f"other processes used {m.others_cores:.2g} of {m.cores} processors; "
        f"{m.rows_contended} of {m.rows} rows contended" + ("; throttled" if m.throttled else ""),
    }
    yield from (f"{name:<{LABEL_WIDTH}} {text}" for name, text in texts.items())


def _percent(value: float, sign: str = "") -> str:
    """Return a share as a percentage with three significant digits."""
    plus = sign if value >= 0 else ""
    return f"{plus}{format.digits(100 * value)}%"


def _find_faults(form: str) -> int:
    """Run the faulty implementations and print which faults are caught."""
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
    """Return the outcome of a fault as one JSON object."""
    fault, row = finding.fault, finding.row
    return {
        "fault": fault.name,
        "does": fault.summary,
        "verdict": "not run" if row is None else "caught" if finding.caught else "missed",
        "status": str(row.status) if row else None,
        "reason": row.reason if row else NOT_RUN,
        "due": f"{fault.status}" + (f": {fault.reason}" if fault.reason else ""),
    }
