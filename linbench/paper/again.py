"""Again: a run's grid as a file and its command as a script, so that it can be measured again."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from linbench.core.errors import UsageError
from linbench.core.run import Run


def grid_toml(run: Run) -> str:
    """Return the grid of a run as the TOML file that `linbench run --grid` takes.

    Raises:
        UsageError: The run's plan holds no grid.
    """
    grid = run.plan.get("grid")
    if not isinstance(grid, Mapping) or "axes" not in grid:
        raise UsageError(f"run {run.id} has no grid in its plan; it cannot be made again")
    lines = [f"description = {json.dumps(grid.get('description', ''))}"]
    lines += _table("axes", grid["axes"])
    for device, axes in grid.get("device", {}).items():
        lines += _table(f"device.{device}", axes)
    return "\n".join(lines) + "\n"


def rerun_words(run: Run) -> list[str]:
    """Return the command that measures the run again from `grid.toml`: the same selection and protocol."""
    plan = run.plan
    protocol = plan.get("protocol") or {}
    words = ["linbench", "run", "--grid", "grid.toml", "--impl", ",".join(plan["implementations"])]
    words += ["--device", plan["device"]]
    for plugin in plan.get("plugins", ()):
        words += ["--plugin", plugin]
    words += ["--once"] if protocol.get("once") else []
    for flag, name, unit in (
        ("--timer", "timer", ""),
        ("--processes", "processes", ""),
        ("--precision", "precision", "%"),
        ("--min-time", "min_time_s", "s"),
        ("--max-time", "max_time_s", "s"),
        ("--samples", "max_samples", ""),
        ("--timeout", "timeout_s", "s"),
        ("--max-memory", "max_memory_bytes", ""),
        ("--time-budget", "time_budget_s", "s"),
    ):
        value = protocol.get(name)
        if value is not None:
            number = 100 * value if unit == "%" else value
            words += [flag, (number if isinstance(number, str) else _decimal(number)) + unit]
    return words


def rerun_script(run: Run) -> str:
    """Return a shell script that measures the run again; further words are handed on to linbench."""
    typed = shlex.join(run.plan.get("command") or ["from Python, with no command"])
    comment = "\n".join(f"#   {line}" for line in typed.splitlines())
    return (
        f"#!/bin/sh\n# Measures run {run.id} again. It was begun as:\n{comment}\n"
        f'set -eu\ncd -- "$(dirname -- "$0")"\nexec {shlex.join(rerun_words(run))} "$@"\n'
    )


def _table(name: str, axes: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n[{name}]"
    yield from (f"{key} = {json.dumps(value)}" for key, value in axes.items() if key != "options")
    if axes.get("options"):
        yield f"\n[{name}.options]"
        yield from (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in axes["options"].items())


def _decimal(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.9f}".rstrip("0").rstrip(".")
