"""linbench ci: test whether a change made an implementation slower, wrong or larger in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linbench.cli import options
from linbench.cli.compare import EXIT_REGRESSION, plan_comparisons, run_comparisons
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
    help="Compare the working tree with the last commit that it has in common with this git ref.",
)
@options.selection
@options.limits
@click.option("--strict", is_flag=True, help=f"Exit with code {EXIT_UNDECIDED} if a case is undecided.")
@click.option(
    "--summary",
    default="reports/ci.md",
    show_default=True,
    metavar="FILE",
    help="Write the summary to this Markdown file.",
)
@click.option(
    "--junit",
    default="reports/ci.xml",
    show_default=True,
    metavar="FILE",
    help="Write the results to this JUnit XML file.",
)
@options.output_format("json")
def command(
    base: str,
    selection: options.Selection,
    limits: options.Limits,
    strict: bool,
    summary: str,
    junit: str,
    form: str,
) -> int:
    """Compare the implementations that changed since a base.

    An implementation has changed if its file, or a file that it imports, differs from the base. Each is
    compared at the cases of the grid. On GitHub the summary is also appended to the summary of the step,
    and regressions are annotated.

    The exit code is 1 if an implementation is confirmed to be slower, to be wrong or to use more memory.
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
    names = _filter_names(
        affected_implementations(registry, imports, repository.changed_files(commit)), selection
    )
    human = sys.stderr if form == "json" else sys.stdout
    text = printable(", ".join(names)) or "nothing"
    click.echo(f"changed since {commit[:12]} ({printable(base)}): {text}", file=human)
    pair = Side(base, Kind.REF, commit), Side(WORKING_TREE, Kind.REF, WORKING_TREE)
    selection = replace(selection, implementations=names, operators=())
    results = list(run_comparisons(pair, plan_comparisons(selection, limits), form)) if names else []
    _write(results, f"{base} ({commit[:12]})", summary, junit)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from linbench.report import gate

        for line in gate.warnings(results):
            click.echo(line, file=human)
    click.echo(f"summary: {summary}, {junit}", file=human)
    if any(result.regressions for result in results):
        return EXIT_REGRESSION
    return EXIT_UNDECIDED if strict and any(result.is_open for result in results) else 0


def _filter_names(names: Sequence[str], selection: options.Selection) -> tuple[str, ...]:
    """Return the implementations that --impl and --op select; all of them if neither is set."""
    from linbench.core.registry import registry
    from linbench.execution.schedule import select

    implementations = select(registry, selection.operators, selection.implementations)
    allowed = {implementation.name for implementation in implementations}
    return tuple(name for name in names if name in allowed)


def _write(results: Sequence[ComparisonResult], base: str, summary: str, junit: str) -> None:
    """Write the summary and the XML, and append to the summary of the step on GitHub."""
    from linbench.report import gate

    text = gate.markdown(results, base)
    _write_text(Path(summary), text, "w")
    _write_text(Path(junit), gate.junit(results), "w")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        _write_text(Path(step), text, "a")


def _write_text(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
