"""linbench ci: did this change make anything slower, heavier or wrong?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from linbench.cli import options
from linbench.cli.compare import EXIT_REGRESSION, measured, planned
from linbench.cli.report import check_report_path
from linbench.cli.text import report_broken
from linbench.core.errors import UsageError
from linbench.text.terminal import printable

EXIT_UNDECIDED = 3


@click.command(context_settings=options.SETTINGS)
@click.option(
    "--base",
    default="origin/main",
    show_default=True,
    metavar="REF",
    help="Compare the working tree with the last commit that it has in common with this.",
)
@options.cases
@options.implementations
@options.machine
@options.bounds
@click.option("--strict", is_flag=True, help=f"Exit {EXIT_UNDECIDED} if a case is undecided.")
@click.option("--summary", default="reports/ci.md", show_default=True, metavar="FILE", help="Markdown.")
@click.option("--junit", default="reports/ci.xml", show_default=True, metavar="FILE", help="JUnit XML.")
@options.output_format("json")
def command(**given: Any) -> int:
    """Compare what changed since a base; exit 1 if it is confirmed slower, wrong or heavier.

    Measured are the cases of the grid for every implementation whose file changed, or a file that it imports.
    On GitHub the summary is appended to the step's, and regressions are annotated.
    """
    from linbench.compare.affected import affected
    from linbench.compare.git import Repository
    from linbench.compare.imports import Imports
    from linbench.compare.live import sources
    from linbench.compare.side import WORKING_TREE, Kind, Side
    from linbench.core.registry import registry

    registry.load(given["plugin"])
    report_broken(registry)
    for flag in ("summary", "junit"):
        check_report_path(Path(given[flag]))
    repository = Repository(Path.cwd())
    base = repository.base(given["base"])
    imports = Imports(repository, sources(registry, given["plugin"]))
    names = affected(registry, imports, repository.changed(base))
    human = sys.stderr if given["form"] == "json" else sys.stdout
    chosen = _chosen(names, given)
    listed = printable(", ".join(chosen)) or "nothing"
    click.echo(f"changed since {base[:12]} ({printable(given['base'])}): {listed}", file=human)
    pair = Side(given["base"], Kind.REF, base), Side(WORKING_TREE, Kind.REF, WORKING_TREE)
    found = list(measured(pair, planned(given, chosen), given["form"])) if chosen else []
    _write(found, f"{given['base']} ({base[:12]})", given, human)
    if any(each.regressions for each in found):
        return EXIT_REGRESSION
    return EXIT_UNDECIDED if given["strict"] and any(each.is_open for each in found) else 0


def _chosen(names: Sequence[str], given: dict[str, Any]) -> list[str]:
    """Return those of some implementations that --impl and --op name, all if neither is given."""
    from linbench.core.registry import registry
    from linbench.execution.schedule import select

    wanted = options.words(given["impl"], "--impl"), options.words(given["op"], "--op")
    allowed = {found.name for found in select(registry, wanted[1], wanted[0])}
    return [name for name in names if name in allowed]


def _write(found: Sequence[Any], base: str, given: dict[str, Any], human: Any) -> None:
    """Write the summary and the XML, and tell GitHub if this runs there."""
    from linbench.report import gate

    summary = gate.markdown(found, base)
    texts = {given["summary"]: summary, given["junit"]: gate.junit(found)}
    for name, text in texts.items():
        _put(Path(name), text, "w")
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        _put(Path(step), summary, "a")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in gate.warnings(found):
            click.echo(line, file=human)
    click.echo(f"summary: {given['summary']}, {given['junit']}", file=human)


def _put(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
