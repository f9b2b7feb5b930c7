"""linbench check: check one implementation against its reference, in seconds and without timing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import report_broken, row_line
from linbench.text import format

if TYPE_CHECKING:
    from linbench.cli.options import Limits
    from linbench.core.grid import Axes
    from linbench.core.measurement import Measurement

EXIT_FAILED = 3
GRID = "check"


@click.command(context_settings=options.SETTINGS)
@click.argument("implementation")
@options.axes
@click.option(
    "--device", type=types.DEVICE, metavar="cpu|cuda", help="The device.  [default: the GPU, if any]"
)
@options.limits
@options.plugin
@options.output_format("json")
def command(
    implementation: str, axes: Axes, device: str | None, limits: Limits, plugin: tuple[str, ...], form: str
) -> int:
    r"""Check IMPLEMENTATION against the float64 reference of its operator, and print where it is wrong.

    \b
    linbench check linear/mine --plugin mine.py
    linbench check linear/mine --plugin mine.py --T 4097 --dtype bfloat16 --mode fwd

    Without axes it checks T = 1, 127 and 1,000 in each mode that IMPLEMENTATION has, in float32 and bfloat16.
    Nothing is timed or stored. A wrong row names, for each tensor, the first wrong element, the number of
    wrong rows, tokens and heads, and what they have in common.

    The exit code is 3 if a case failed, or if none was ok.
    """
    from linbench import api
    from linbench.core.grid import typed_axes
    from linbench.core.measurement import FAILURES, Status
    from linbench.core.plan import Settings
    from linbench.core.registry import registry
    from linbench.core.row import to_row

    settings = Settings(
        once=True, processes=1, timeout_s=limits.timeout_s, max_memory_bytes=limits.max_memory_bytes
    )
    registry.load(plugin)
    modes = typed_axes(mode=list(registry.implementation(implementation).modes))
    schedule = api.plan_run(
        GRID, impl=implementation, device=device, plugins=plugin, settings=settings, axes=modes.override(axes)
    )
    report_broken(registry)
    counts: Counter[Status] = Counter()

    def show(rows: Sequence[Measurement]) -> None:
        for row in rows:
            counts[row.status] += 1
            line = json.dumps(to_row(row)) if form == "json" else row_line(row, len(implementation))
            click.echo(line)

    api.check(schedule, on_rows=show)
    tally = format.listing([f"{number} {status}" for status, number in counts.items()])
    click.echo(f"{implementation}: {tally or 'no case'}", err=form == "json")
    return EXIT_FAILED if FAILURES & counts.keys() or not counts[Status.OK] else 0
