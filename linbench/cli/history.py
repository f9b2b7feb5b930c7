"""linbench history: print how a case's time changed over runs, and between which commits."""

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

HEADER = ("  RUN", "BEGAN", "COMMIT", "TIME", "ANCHOR", "TIME / ANCHOR", "BASELINE")


@click.command(context_settings=options.SETTINGS)
@click.argument("case")
@options.axes
@click.option("--device", type=types.DEVICE, metavar="cpu|cuda", help="On this kind of device.")
@options.db
@options.output_format("json")
def command(case: str, axes: Axes, device: str | None, db: str, form: str) -> None:
    """Print how the time of CASE over the calibration op's changed over runs, and between which commits.

    CASE is an implementation, as in linear/chunk, of which flags select cases, or a case's id as
    `linbench show --format json` has it, or the start of one.

    The calibration op is a fixed product of matrices that was timed in the same turns. Runs on other
    machines, and by other timers, are series of their own. A change names two commits; comparing
    them confirms it.
    """
    from linbench.compare.history import series_of
    from linbench.store.store import Store

    store = Store(db)
    points = store.history(implementation=case) if "/" in case else store.history(case=case)
    found = series_of(
        point for point in points if axes.holds(point.case) and device in (None, point.case.device)
    )
    if not found:
        raise UsageError(
            f"no run has a time of {case!r} and of the calibration op for that; `linbench run` measures "
            "both, and `linbench show` names what there is"
        )
    names: dict[str, list[str]] = {}
    for name, run in store.baselines().items():
        names.setdefault(run, []).append(name)
    for series in found:
        if form == "json":
            click.echo(json.dumps(_record(series, names)))
        else:
            for line in _lines(series, names):
                click.echo(printable(line))


def _lines(series: Series, names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a series as lines: what it is, its runs, and where it changed."""
    yield f"{series.implementation}  {series.case}  (case {series.case.id})"
    yield f"  {series.machine}, timer {series.timer}: {format.plural(len(series.points), 'run')}"
    yield from columns(HEADER, [_cells(point, names) for point in series.points])
    for change in series.changes:
        before, after = series.points[change.index - 1], series.points[change.index]
        yield f"  {change.size:+.1%} between {before.run} and {after.run} (p {change.p:.1g})"
        yield from (f"    with {line}" for line in _meanwhile(before, after))
        yield f"    {_confirm(series, change)}"
    if not series.changes:
        yield "  no change that can be told from noise"


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


def _meanwhile(before: HistoryPoint, after: HistoryPoint) -> list[str]:
    from linbench.compare.history import library_changes

    return library_changes(before, after)


def _confirm(series: Series, change: Change) -> str:
    """Return what to type to confirm a change, or why there is nothing to type."""
    commits = series.commits(change)
    if commits is None:
        return "one of the runs has no commit, or changes beside it; nothing can be compared"
    if commits[0] == commits[1]:
        return f"both runs are of commit {commits[0][:10]}: no code of this repository changed"
    return f"confirm it: {_command(series, commits)}"


def _command(series: Series, commits: tuple[str, str]) -> str:
    one, other = (name[:12] for name in commits)
    timer = "" if series.timer == DEFAULT_TIMER[series.case.device] else f" --timer {series.timer}"
    what = f"--impl {series.implementation} {options.case_flags(series.case)}"
    return f"linbench compare {one} {other} {what}{timer}"


def _encoded(point: HistoryPoint) -> dict[str, object] | None:
    """Return the code that a run measured, less the names of its implementations."""
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
        compare = _command(series, commits) if commits and commits[0] != commits[1] else None
        changes.append(
            {
                "before": before.run,
                "after": after.run,
                "size": change.size,
                "p": change.p,
                "libraries": _meanwhile(before, after),
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
                "code": _encoded(point),
                "median_s": point.median_s,
                "calibration_s": point.calibration_s,
                "baselines": list(names.get(point.run, ())),
            }
            for point in series.points
        ],
        "changes": changes,
    }
