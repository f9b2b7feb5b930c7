"""Progress: print a run while it is measured, on a terminal or to a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import click

from linbench.cli.text import row_line
from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.text import format
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from linbench.execution.schedule import Job, Schedule


class Printer:
    """Prints the progress of a run: a live bar on a terminal, else plain lines; with --format json also JSON.

    The JSON lines go to stdout; the lines for people then go to stderr.
    """

    def __init__(self, form: str, schedule: Schedule) -> None:
        self.run: Run | None = None
        self._json = form == "json"
        self._total = len(schedule.jobs)
        self._row_count = 0
        self._names = max((len(job.implementation) for job in schedule.jobs), default=0)
        human = sys.stderr if self._json else sys.stdout
        self._bar = _live_bar(human, self._total) if human is not None and human.isatty() else None

    def __enter__(self) -> Printer:
        self._context: AbstractContextManager[object] = self._bar or nullcontext()
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def say(self, line: str) -> None:
        """Print a line for people."""
        if self._bar is not None and self._bar.live.is_started:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line, err=self._json)

    def start(self, run: Run) -> None:
        """Print the id of a new run and the number of its rows."""
        self.run = run
        self.say(f"run {run.id}: {format.plural(self._total, 'row')}")

    def job(self, job: Job, activity: str) -> None:
        """Show the current job and activity in the bar."""
        if self._bar is not None:
            text = printable(f"{activity} {job.implementation} {job.case}")
            self._bar.update(self._bar.task_ids[0], job=text)

    def rows(self, rows: Sequence[Measurement]) -> None:
        """Print the rows of a case."""
        from linbench.store.exchange.jsonl import json_row

        self._row_count += len(rows)
        for row in rows:
            if self._json and self.run is not None:
                click.echo(json.dumps(json_row(row, self.run.id)))
            self.say(row_line(row, self._names))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._row_count)


def _live_bar(stream: TextIO, total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[job]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )
    bar.add_task("run", total=total, job="")
    return bar
