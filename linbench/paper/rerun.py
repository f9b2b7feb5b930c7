"""Rerun: a run's grid as a file and its command as a script, so that the run can be repeated."""

import json
import shlex
from collections.abc import Iterator

from linbench.core.grid import Axes
from linbench.core.run import Run


def grid_toml(run: Run) -> str:
    """Return the grid of a run as the TOML file that `linbench run --grid` accepts."""
    grid = run.plan.grid
    lines = [f"description = {json.dumps(grid.description)}"]
    lines += _table("axes", grid.axes)
    for device, axes in grid.device.items():
        lines += _table(f"device.{device}", axes)
    return "\n".join(lines) + "\n"


def rerun_arguments(run: Run) -> list[str]:
    """Return the command that repeats the run from `grid.toml`, with the same selection and settings."""
    plan, settings = run.plan, run.plan.settings
    arguments = ["linbench", "run", "--grid", "grid.toml", "--impl", ",".join(plan.implementations)]
    arguments += ["--device", plan.device]
    arguments += [argument for plugin in plan.plugins for argument in ("--plugin", plugin)]
    arguments += ["--once"] if settings.once else []
    arguments += ["--timer", settings.timer] if settings.timer else []
    for flag, value, unit in (
        ("--processes", settings.processes, ""),
        ("--precision", 100 * settings.precision, "%"),
        ("--min-time", settings.min_time_s, "s"),
        ("--max-time", settings.max_time_s, "s"),
        ("--samples", settings.max_samples, ""),
        ("--timeout", settings.timeout_s, "s"),
        ("--max-memory", settings.max_memory_bytes, ""),
        ("--time-limit", settings.time_limit_s, "s"),
    ):
        arguments += [] if value is None else [flag, f"{_decimal(value)}{unit}"]
    return arguments


def rerun_script(run: Run) -> str:
    """Return a shell script that repeats the run; it passes further arguments on to linbench."""
    command = shlex.join(run.plan.command or ["from Python, with no command"])
    comment = "\n".join(f"#   {line}" for line in command.splitlines())
    return (
        f"#!/bin/sh\n# Repeats run {run.id}, which was started as:\n{comment}\n"
        f'set -eu\ncd -- "$(dirname -- "$0")"\nexec {shlex.join(rerun_arguments(run))} "$@"\n'
    )


def _table(name: str, axes: Axes) -> Iterator[str]:
    yield f"\n[{name}]"
    yield from (f"{key} = {json.dumps(value)}" for key, value in axes.model_dump(exclude={"options"}).items())
    if axes.options:
        yield f"\n[{name}.options]"
        yield from (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in axes.options.items())


def _decimal(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.9f}".rstrip("0").rstrip(".")
