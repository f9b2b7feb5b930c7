"""linbench ci: did this change make anything slower, heavier or wrong?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linbench.cli import options
from linbench.cli.compare import EXIT_REGRESSION, measured, planned
from linbench.cli.report import check_report_path
from linbench.cli.text import report_broken
from linbench.core.errors import UsageError
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.compare.suite import ComparisonResult

EXIT_UNDECIDED = 3


@click.command(context_settings=options.SETTINGS)
@click.option(
    "--base",
    default="origin/main",
    show_default=True,
    metavar="REF",
    help="Compare the working tree with the last commit that it has in common with this.",
)
@options.selection
@options.bounds
@click.option("--strict", is_flag=True, help=f"Exit {EXIT_UNDECIDED} if a case is undecided.")
@click.option("--summary", default="reports/ci.md", show_default=True, metavar="FILE", help="Markdown.")
@click.option("--junit", default="reports/ci.xml", show_default=True, metavar="FILE", help="JUnit XML.")
@options.output_format("json")
def command(
    base: str,
    selection: options.Selection,
    bounds: options.Bounds,
    strict: bool,
    summary: str,
    junit: str,
    form: str,
) -> int:
    """Compare what changed since a base; exit 1 if it is confirmed slower, wrong or heavier.

    Measured are the cases of the grid for every implementation whose file changed, or a file that it imports.
    On GitHub the summary is appended to the step's, and regressions are annotated.
    """
    from linbench.compare.affected import affected_implementations
    from linbench.compare.git import Repository
    from linbench.compare.imports import Imports
    from linbench.compare.live import sources
    from linbench.compare.side import WORKING_TREE, Kind, Side
    from linbench.core.registry import registry

    registry.load(selection.plugins)
    report_broken(registry)
    for path in (summary, junit):
        check_report_path(Path(path))
    repository = Repository(Path.cwd())
    commit = repository.base(base)
    imports = Imports(repository, sources(registry, selection.plugins))
    chosen = _chosen(affected_implementations(registry, imports, repository.changed_files(commit)), selection)
    human = sys.stderr if form == "json" else sys.stdout
    listed = printable(", ".join(chosen)) or "nothing"
    click.echo(f"changed since {commit[:12]} ({printable(base)}): {listed}", file=human)
    pair = Side(base, Kind.REF, commit), Side(WORKING_TREE, Kind.REF, WORKING_TREE)
    selection = replace(selection, implementations=chosen, operators=())
    found = list(measured(pair, planned(selection, bounds), form)) if chosen else []
    _write(found, f"{base} ({commit[:12]})", summary, junit)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from linbench.report import gate

        for line in gate.warnings(found):
            click.echo(line, file=human)
    click.echo(f"summary: {summary}, {junit}", file=human)
    if any(each.regressions for each in found):
        return EXIT_REGRESSION
    return EXIT_UNDECIDED if strict and any(each.is_open for each in found) else 0


def _chosen(names: Sequence[str], selection: options.Selection) -> tuple[str, ...]:
    """Return those of some implementations that --impl and --op name, all if neither is given."""
    from linbench.core.registry import registry
    from linbench.execution.schedule import select

    allowed = {found.name for found in select(registry, selection.operators, selection.implementations)}
    return tuple(name for name in names if name in allowed)


def _write(found: Sequence[ComparisonResult], base: str, summary: str, junit: str) -> None:
    """Write the summary and the XML, and the summary of the step if this runs on GitHub."""
    from linbench.report import gate

    text = gate.markdown(found, base)
    _put(Path(summary), text, "w")
    _put(Path(junit), gate.junit(found), "w")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        _put(Path(step), text, "a")


def _put(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
