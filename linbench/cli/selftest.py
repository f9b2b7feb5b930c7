"""linbench selftest: see whether this harness can be believed here."""

from __future__ import annotations

import json
from typing import Any

import click

from linbench.cli import options
from linbench.cli.text import columns
from linbench.core.errors import UsageError

EXIT_MISSED = 3
HEADER = ("FAULT", "", "STATUS", "WHAT IT DOES", "REASON")
NOT_RUN = "not run here: needs a CUDA device"


@click.command(context_settings=options.SETTINGS)
@click.option("--faults", is_flag=True, help="Plant faults, and print which are caught.")
@options.output_format("json")
def command(faults: bool, form: str) -> int:
    """See whether this harness can be believed here.

    --faults runs implementations that each do one thing that none should, like any others, and prints what
    became of each. The exit code is 3 if one is missed.
    """
    if not faults:
        raise UsageError("say what to test: linbench selftest --faults")
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
