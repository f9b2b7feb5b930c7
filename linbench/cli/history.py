"""linbench history: print how the time of a case changed over runs, and between which commits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import columns
from linbench.core.errors import UsageError
from linbench.core.timer import DEFAULT_TIMER
from linbench.text import format
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.compare.history import Series
    from linbench.core.grid import Axes
    from linbench.statistics.change_points import Change
    from linbench.store.store import HistoryPoint

HEADER = ("  RUN", "BEGAN", "COMMIT", "TIME", "CALIBRATION", "TIME / CALIBRATION", "BASELINE")


@click.command(context_settings=options.SETTINGS)
@click.argument("case")
@options.axes
@click.option("--device", type=types.DEVICE, metavar="cpu|cuda", help="Show only cases on this device.")
@options.db
@options.output_format("json")
def command(case: str, axes: Axes, device: str | None, db: str, form: str) -> None:
    """Print how the time of CASE, relative to a calibration op, changed over runs and between which commits.

    CASE is an implementation, as in linear/chunk, whose cases the options select; or the id of a case, as in
    the output of `linbench show --format json`; or the start of such an id.

    The calibration op is a fixed matrix product that each run times in the same rounds as the case. Runs on
    another machine or with another timer form a separate series. For each change the output names the two
    commits, and the `linbench compare` command that confirms it.
    """
    from linbench.compare.history import series_of
    from linbench.store.store import Store

    store = Store(db)
    points = store.history(implementation=case) if "/" in case else store.history(case=case)
    all_series = series_of(
        point for point in points if axes.contains(point.case) and device in (None, point.case.device)
    )
    if not all_series:
        raise UsageError(
            f"no run has times of both {case!r} and the calibration op at these cases; `linbench run` "
            "measures both, and `linbench show` lists the stored rows"
        )
    names: dict[str, list[str]] = {}
    for name, run in store.baselines().items():
        names.setdefault(run, []).append(name)
    for series in all_series:
        if form == "json":
            click.echo(json.dumps(_record(series, names)))
        else:
            for line in _lines(series, names):
                click.echo(printable(line))


def _lines(series: Series, names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a series: its case, machine and timer, its runs and its changes."""
    yield f"{series.implementation}  {series.case}  (case {series.case.id})"
    yield f"  {series.machine}, timer {series.timer}: {format.plural(len(series.points), 'run')}"
    yield from columns(HEADER, [_cells(point, names) for point in series.points])
    for change in series.changes:
        before, after = series.points[change.index - 1], series.points[change.index]
        yield f"  {change.size:+.1%} between {before.run} and {after.run} (p {change.p:.1g})"
        yield from (f"    with {line}" for line in _library_changes(before, after))
        yield f"    {_confirmation(series, change)}"
    if not series.changes:
        yield "  no change beyond the noise"


def _cells(point: HistoryPoint, names: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    code = point.environment.code_of(point.implementation)
    commit = code.commit if code else None
    return (
        f"  {point.run}",
        point.created_at,
        (commit or "unknown")[:10] + (" dirty" if code and code.dirty else ""),
        format.seconds(point.median_s),
        format.seconds(point.calibration_s),
        f"{point.median_s / point.calibration_s:.4g}",
        ", ".join(names.get(point.run, ())),
    )


def _library_changes(before: HistoryPoint, after: HistoryPoint) -> list[str]:
    from linbench.compare.history import library_changes

    return library_changes(before, after)


def _confirmation(series: Series, change: Change) -> str:
    """Return the command that confirms a change, or the reason why there is none."""
    commits = series.commits(change)
    if commits is None:
        return "one of the runs has no commit or has uncommitted changes; nothing can be compared"
    if commits[0] == commits[1]:
        return f"both runs are of commit {commits[0][:10]}: no code of this repository changed"
    return f"confirm it: {_compare_command(series, commits)}"


def _compare_command(series: Series, commits: tuple[str, str]) -> str:
    before, after = (commit[:12] for commit in commits)
    timer = "" if series.timer == DEFAULT_TIMER[series.case.device] else f" --timer {series.timer}"
    flags = f"--impl {series.implementation} {options.case_flags(series.case)}"
    return f"linbench compare {before} {after} {flags}{timer}"


def _code_record(point: HistoryPoint) -> dict[str, object] | None:
    """Return the code that a run measured, without the names of its implementations."""
    code = point.environment.code_of(point.implementation)
    if code is None:
        return None
    return {"name": code.name, "version": code.version, "commit": code.commit, "dirty": code.dirty}


def _record(series: Series, names: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Return a series as one JSON object."""
    changes = []
    for change in series.changes:
        before, after = series.points[change.index - 1], series.points[change.index]
        commits = series.commits(change)
        compare = _compare_command(series, commits) if commits and commits[0] != commits[1] else None
        changes.append(
            {
                "before": before.run,
                "after": after.run,
                "size": change.size,
                "p": change.p,
                "libraries": _library_changes(before, after),
                "commits": commits,
                "compare": compare,
            }
        )
    return {
        "implementation": series.implementation,
        "case_id": series.case.id,
        "case": series.case.to_json(),
        "machine": series.machine,
        "timer": series.timer,
        "runs": [
            {
                "run": point.run,
                "created_at": point.created_at,
                "code": _code_record(point),
                "median_s": point.median_s,
                "calibration_s": point.calibration_s,
                "baselines": list(names.get(point.run, ())),
            }
            for point in series.points
        ],
        "changes": changes,
    }
