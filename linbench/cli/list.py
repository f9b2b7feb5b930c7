"""linbench list: list the operators, implementations, grids or runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from linbench.cli import options, types
from linbench.cli.text import columns, report_broken


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """List the operators, implementations, grids or runs."""


@command.command(context_settings=options.SETTINGS)
@options.plugin
@options.output_format("json")
def operators(plugin: Sequence[str], form: str) -> None:
    """List the operators.

    The table shows their complexity, the state that they carry from token to token, their options and source.
    """
    from linbench.core.registry import registry

    registry.load(plugin)
    report_broken(registry)
    records = [
        {
            "operator": operator.name,
            "kind": operator.kind,
            "complexity": operator.complexity,
            "state": ", ".join(f"{spec.name} [{','.join(spec.axes)}]" for spec in operator.state) or "none",
            "options": ", ".join(
                f"{name}={'|'.join(map(types.scalar_text, option.allowed))}"
                for name, option in operator.options.items()
            ),
            "source": operator.source,
        }
        for operator in registry.operators()
    ]
    _print(records, form)


@command.command(context_settings=options.SETTINGS)
@options.plugin
@options.output_format("json")
def implementations(plugin: Sequence[str], form: str) -> None:
    """List the implementations.

    The table shows their layout and modes; `linbench doctor` shows which of them can run on this machine.
    """
    from linbench.core.registry import registry

    registry.load(plugin)
    report_broken(registry)
    records = [
        {
            "implementation": implementation.name,
            "layout": implementation.layout,
            "modes": ", ".join(implementation.modes),
            "summary": implementation.summary,
        }
        for implementation in registry.implementations()
    ]
    _print(records, form)


@command.command(context_settings=options.SETTINGS)
@options.output_format("json")
def grids(form: str) -> None:
    """List the grids that are shipped with linbench.

    --grid also accepts the path of your own .toml file.
    """
    from linbench.core.grid import grid_names, load_grid

    records = []
    for name in grid_names():
        grid = load_grid(name)
        counts = {f"{device} cases": len(grid.cases(device)) for device in ("cpu", "cuda")}
        records.append({"grid": name, **counts, "description": grid.description})
    _print(records, form)


@command.command(context_settings=options.SETTINGS)
@options.db
@options.output_format("json")
def runs(db: str, form: str) -> None:
    """List the runs of a database, the latest first."""
    from linbench.store.store import Store

    records = [
        {
            "run": run.id,
            "began": run.created_at,
            "finished": run.finished_at or "no",
            "imported from": run.imported_from or "no",
            "grid": run.grid,
            "device": run.device,
            "rows": ", ".join(f"{number} {status}" for status, number in sorted(run.statuses.items()))
            or "none",
        }
        for run in Store(db).summaries()
    ]
    _print(records, form)


def _print(records: Sequence[Mapping[str, object]], form: str) -> None:
    if form == "json":
        for record in records:
            click.echo(json.dumps(record))
    elif records:
        rows = [[str(value) for value in record.values()] for record in records]
        for line in columns([name.upper() for name in records[0]], rows):
            click.echo(line)
    else:
        click.echo("none")
