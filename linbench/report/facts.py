"""Facts: the environment and the settings of a run, formatted for people."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from linbench.core.codec import encode
from linbench.core.environment import Environment
from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.text import format


def title(run: Run) -> str:
    """Return the title of a run: the name of its grid, or that its axes were given on the command line."""
    name = run.plan.grid.name
    return "Axes from the command line" if name == "axes" else name or "Run"


def command(run: Run) -> str | None:
    """Return the command that repeats the run; None for a run that was not started by a command."""
    return shlex.join(run.plan.command) if run.plan.command else None


def tally(rows: Sequence[Measurement]) -> str:
    """Return the number of rows, and of rows per status: 3 rows · 2 ok · 1 oom."""
    counts = Counter(str(row.status) for row in rows)
    parts = [f"{format.count(number)} {status}" for status, number in counts.most_common()]
    return " · ".join([format.plural(len(rows), "row"), *parts])


def machine(environment: Environment) -> str:
    """Return the machine in one line: processor, GPUs, torch and commit, where known."""
    host, torch = environment.host, environment.libraries.get("torch")
    gpus = Counter(gpu.name for gpu in environment.gpus)
    parts = [
        host.cpu,
        format.plural(host.cores, "core"),
        ", ".join(f"{number} {format.TIMES} {name}" for name, number in gpus.items()) or "no GPU",
        f"torch {torch}" if torch else None,
        *dict.fromkeys(f"commit {code.commit[:10]}" for code in environment.measured_code if code.commit),
    ]
    return " · ".join(part for part in parts if part)


def facts(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the environment, the timers and the plan as titled lists of names and texts."""
    timers = Counter(row.time.timer for row in run.measurements if row.time)
    meters = Counter(row.memory.meter for row in run.measurements if row.memory)
    about = {"started": run.created_at, "finished": run.finished_at or "no"} | {
        name: [f"{text} ({format.plural(number, 'row')})" for text, number in sorted(counts.items())]
        for name, counts in (("timer", timers), ("memory meter", meters))
    }
    sections: dict[str, Any] = {"measured": about}
    scalars: dict[str, Any] = {}
    for name, value in encode(run.environment).items():
        if isinstance(value, Mapping):
            sections[name] = value
        elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
            sections |= {f"{name} {number}": part for number, part in enumerate(value)}
        else:
            scalars[name] = value
    sections |= {"other": scalars, "plan": encode(run.plan)}
    return [(title, lines) for title, part in sections.items() if (lines := list(_lines(part, "")))]


def _lines(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each value of a nested mapping with its dotted name."""
    for name, value in part.items():
        if isinstance(value, Mapping) and value:
            yield from _lines(value, f"{prefix}{name}.")
        elif name.endswith("_bytes") and isinstance(value, int):
            yield prefix + name.removesuffix("_bytes"), format.size(value)
        else:
            yield prefix + name, _text(value)


def _text(value: Any) -> str:
    """Return a value of the environment, formatted for people."""
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)
