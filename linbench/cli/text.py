"""Text: format rows and tables as lines that are safe to print on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from linbench.core.measurement import Measurement
from linbench.core.registry import Registry
from linbench.core.roof import Bound
from linbench.text import format
from linbench.text.terminal import printable


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; each column is as wide as its widest cell."""
    table = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def row_line(row: Measurement, width: int, bound: Bound | None = None) -> str:
    """Return the line of a measurement.

    Args:
        row: The measurement.
        width: Width of the column of implementations.
        bound: Least time for the row's work on this machine (the roofline bound), if it is known.
    """
    return printable(f"{row.status:<13} {row.implementation:<{width}} {row.case}  {figures(row, bound)}")


def figures(row: Measurement, bound: Bound | None) -> str:
    """Return the figures of a row as text, or the reason why it has none."""
    if row.reason is not None:
        return row.reason
    parts = []
    if row.time is not None:
        parts.append(format.seconds_interval(row.time.median_s, row.time.ci_low_s, row.time.ci_high_s))
    if row.memory is not None:
        parts.append(f"+{format.size(row.memory.extra_bytes)}")
    if row.approximation:
        parts.append(f"approximation {max(row.approximation.values()):.1e}")
    if row.errors:
        parts.append(f"error {max(error.rel_l2 for error in row.errors.values()):.1e}")
    if row.time is not None and row.time.median_s and bound is not None:
        time = row.time
        shares = (bound.seconds / end_s for end_s in (time.median_s, time.ci_high_s, time.ci_low_s))
        parts.append(f"{format.share_interval(*shares)} of the speed of light ({bound.limit})")
    return "  ".join([*parts, *row.flags])


def report_broken(registry: Registry) -> None:
    """Print to stderr which plugins were not loaded, and why."""
    for plugin in registry.broken:
        click.echo(
            f"plugin {printable(plugin.name)} is broken and left out: {printable(plugin.reason)}", err=True
        )
        for line in plugin.traceback.rstrip().splitlines():
            click.echo(f"    {printable(line)}", err=True)
    for orphan in registry.orphans():
        message = f"{orphan.name} is left out: no operator named {orphan.operator!r} is registered"
        click.echo(printable(message), err=True)
