"""linbench report: write the HTML report of a run, or of two side by side."""

from __future__ import annotations

import os
from pathlib import Path

import click

from linbench.cli import options
from linbench.core.errors import UsageError, unknown
from linbench.core.run import Run
from linbench.report.profiled import AnnotatedProfile


@click.command(context_settings=options.SETTINGS)
@click.argument("run", required=False)
@click.option("--compare", nargs=2, metavar="RUN RUN", help="Two runs side by side instead.")
@click.option("-o", "--output", metavar="FILE", help="[default: reports/RUN.html, reports/RUN-vs-RUN.html]")
@click.option("--baseline", metavar="IMPLEMENTATION", help="What speed-ups are against.")
@options.db
def command(
    run: str | None, compare: tuple[str, str] | None, output: str | None, baseline: str | None, db: str
) -> None:
    """Write the HTML report of RUN, or of two runs side by side.

    A run is an id, the start of one, or latest, which is what RUN is if it is left out.
    """
    from linbench.store.store import Store

    store = Store(db)
    if compare is None:
        click.echo(write_report(store.run(run or "latest"), output, baseline, db))
        return
    if run is not None:
        raise UsageError(f"--compare names both runs; leave out {run}")
    if baseline is not None:
        raise UsageError("--baseline is of the report of one run; leave it out with --compare")
    one, other = (store.find(name) for name in compare)
    if one == other:
        raise UsageError(
            f"{' and '.join(map(repr, compare))} are the same run, {one}; `linbench list runs` names others"
        )
    click.echo(write_versus(store.run(one), store.run(other), output))


def write_report(run: Run, output: str | None, baseline: str | None, db: str) -> Path:
    """Write the report of a run, whole or not at all, and return its path.

    In reports/ the index of the reports there is written anew.

    Args:
        run: The run.
        output: Where to; reports/RUN.html if not given.
        baseline: What speed-ups are against.
        db: The store, whose earlier runs are its history.

    Raises:
        UsageError: The file cannot be written, or the baseline is none of the run's implementations.
    """
    from linbench.compare.history import series_of
    from linbench.core.registry import registry
    from linbench.report.page import render
    from linbench.store.store import Store

    names = {row.implementation for row in run.measurements}
    if baseline is not None and baseline not in names:
        raise unknown("--baseline", baseline, names)
    path = Path(output) if output else Path("reports") / f"{run.id}.html"
    check_report_path(path)
    store = Store(db)
    registry.load(())
    page = render(
        run,
        baseline=baseline,
        series=series_of(store.history_of(run.id)),
        baselines=store.baselines(),
        operators=registry.operators(),
        profiles=_told(run, db),
    )
    _write(path, page)
    if output is None:
        _list(path.parent)
    return path


def _told(run: Run, db: str) -> list[AnnotatedProfile]:
    """Return the stored profiles of a run's cases, with what they say and where their traces lie."""
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.diagnosis import diagnose
    from linbench.report.profiled import select_profiles
    from linbench.store.profiles import Profiles

    told = []
    for profile in select_profiles(run, Profiles(db).of_run(run.id)):
        trace = Artifacts(db).path(profile.artifacts.get("trace", ""))
        said = diagnose(profile.breakdown, profile.tool, profile.case.device) if profile.breakdown else ()
        told.append(AnnotatedProfile(profile, tuple(said), str(trace) if trace.is_file() else ""))
    return told


def write_versus(a: Run, b: Run, output: str | None) -> Path:
    """Write two runs side by side, whole or not at all, and return the path.

    In reports/ the index of the reports there is written anew.

    Args:
        a: The first run.
        b: The second.
        output: Where to; reports/A-vs-B.html if not given.

    Raises:
        UsageError: The file cannot be written, or the runs have no row in common.
    """
    from linbench.report.versus import render_versus

    page = render_versus(a, b)
    path = Path(output) if output else Path("reports") / f"{a.id}-vs-{b.id}.html"
    check_report_path(path)
    _write(path, page)
    if output is None:
        _list(path.parent)
    return path


def _list(folder: Path) -> None:
    """Write the index of the reports of a folder anew."""
    from linbench.report.index import NAME, entries, render_index

    _write(folder / NAME, render_index(entries(folder)))


def _write(path: Path, page: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written: {error.strerror}") from None


def check_report_path(path: Path) -> None:
    """Make the folder of a report.

    Raises:
        UsageError: A report cannot be written there.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written: {error.strerror}") from None
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: the report cannot be written: {path.parent} is read only")
