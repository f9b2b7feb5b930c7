"""linbench list: name the operators, implementations, grids or runs there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from linbench.cli import options, types
from linbench.cli.text import columns, report_broken


@click.group(cls=options.Group, context_settings=options.SETTINGS)
def command() -> None:
    """Name what there is."""


@command.command(context_settings=options.SETTINGS)
@options.plugin
@options.output_format("json")
def operators(plugin: Sequence[str], form: str) -> None:
    """Name the operators, with what they carry from token to token and where they are published."""
    from linbench.core.registry import registry

    registry.load(plugin)
    report_broken(registry)
    records = [
        {
            "operator": found.name,
            "kind": found.kind,
            "complexity": found.complexity,
            "state": ", ".join(f"{spec.name} [{','.join(spec.axes)}]" for spec in found.state) or "none",
            "options": ", ".join(
                f"{name}={'|'.join(map(types.scalar_text, option.allowed))}"
                for name, option in found.options.items()
            ),
            "source": found.source,
        }
        for found in registry.operators()
    ]
    _print(records, form)


@command.command(context_settings=options.SETTINGS)
@options.plugin
@options.output_format("json")
def implementations(plugin: Sequence[str], form: str) -> None:
    """Name the implementations, with their layout and modes; `linbench doctor` says which run here."""
    from linbench.core.registry import registry

    registry.load(plugin)
    report_broken(registry)
    records = [
        {
            "implementation": found.name,
            "layout": found.layout,
            "modes": ", ".join(found.modes),
            "summary": found.summary,
        }
        for found in registry.implementations()
    ]
    _print(records, form)


@command.command(context_settings=options.SETTINGS)
@options.output_format("json")
def grids(form: str) -> None:
    """Name the grids that come with linbench; --grid takes a .toml file of your own as well."""
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
    """Name the runs of a database, the latest first."""
    from linbench.store.store import Store

    records = [
        {
            "run": found.id,
            "began": found.created_at,
            "finished": found.finished_at or "no",
            "imported from": found.imported_from or "no",
            "grid": found.grid,
            "device": found.device,
            "rows": ", ".join(f"{number} {status}" for status, number in sorted(found.statuses.items()))
            or "none",
        }
        for found in Store(db).summaries()
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
