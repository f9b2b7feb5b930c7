"""linbench report: write the HTML report of a run, or of two runs side by side."""

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
@click.option("--compare", nargs=2, metavar="RUN RUN", help="Report two runs side by side instead.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The file to write.  [default: reports/RUN.html; reports/RUN-vs-RUN.html with --compare]",
)
@click.option(
    "--baseline",
    metavar="IMPLEMENTATION",
    help="The implementation over which the report gives speed-ups.",
)
@options.db
def command(
    run: str | None, compare: tuple[str, str] | None, output: str | None, baseline: str | None, db: str
) -> None:
    """Write the HTML report of RUN, or of two runs side by side.

    RUN is the id of a run, the start of an id, or latest (the default).
    """
    from linbench.store.store import Store

    store = Store(db)
    if compare is None:
        click.echo(write_report(store.run(run or "latest"), output, baseline, db))
        return
    if run is not None:
        raise UsageError(f"--compare names both runs; leave out {run}")
    if baseline is not None:
        raise UsageError("--baseline is for the report of one run; leave it out with --compare")
    a, b = (store.find(name) for name in compare)
    if a == b:
        raise UsageError(
            f"{' and '.join(map(repr, compare))} are the same run, {a}; `linbench list runs` lists the others"
        )
    click.echo(write_versus(store.run(a), store.run(b), output))


def write_report(run: Run, output: str | None, baseline: str | None, db: str) -> Path:
    """Write the report of a run and return its path; if it fails, no incomplete file is left.

    Without `output`, the index of the reports in reports/ is written again.

    Args:
        run: The run to report.
        output: Path of the file; reports/RUN.html if None.
        baseline: Implementation over which the report gives speed-ups.
        db: Store whose earlier runs are the history of the run.

    Raises:
        UsageError: The file cannot be written, or the baseline is not an implementation of the run.
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
        profiles=_annotate_profiles(run, db),
    )
    _write(path, page)
    if output is None:
        _write_index(path.parent)
    return path


def _annotate_profiles(run: Run, db: str) -> list[AnnotatedProfile]:
    """Return the stored profiles of the cases of a run, with their diagnoses and trace files."""
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.diagnosis import diagnose
    from linbench.report.profiled import select_profiles
    from linbench.store.profiles import Profiles

    profiles = []
    for profile in select_profiles(run, Profiles(db).of_run(run.id)):
        trace = Artifacts(db).path(profile.artifacts.get("trace", ""))
        lines = diagnose(profile.breakdown, profile.tool, profile.case.device) if profile.breakdown else ()
        profiles.append(AnnotatedProfile(profile, tuple(lines), str(trace) if trace.is_file() else ""))
    return profiles


def write_versus(a: Run, b: Run, output: str | None) -> Path:
    """Write the report of two runs side by side and return its path, as `write_report` does.

    Without `output`, the index of the reports in reports/ is written again.

    Args:
        a: The first run.
        b: The second run.
        output: Path of the file; reports/A-vs-B.html if None.

    Raises:
        UsageError: The file cannot be written, or the runs have no row in common.
    """
    from linbench.report.versus import render_versus

    page = render_versus(a, b)
    path = Path(output) if output else Path("reports") / f"{a.id}-vs-{b.id}.html"
    check_report_path(path)
    _write(path, page)
    if output is None:
        _write_index(path.parent)
    return path


def _write_index(folder: Path) -> None:
    """Write the index of the reports in a folder again."""
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
    """Create the folder of a report.

    Raises:
        UsageError: A report cannot be written to the path.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the report cannot be written: {error.strerror}") from None
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: the report cannot be written: {path.parent} is read-only")
