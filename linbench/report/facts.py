"""Facts: what is known of where and how a run was measured, as people read it."""

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
    """Return what was measured: the name of the grid, or that its axes were typed."""
    name = run.plan.grid.name
    return "Axes as typed" if name == "axes" else name or "Run"


def command(run: Run) -> str | None:
    """Return the command that makes the run again; None for a run that no command began."""
    return shlex.join(run.plan.command) if run.plan.command else None


def tally(rows: Sequence[Measurement]) -> str:
    """Return how many rows there are and how many ended how: 3 rows · 2 ok · 1 oom."""
    counted = Counter(str(row.status) for row in rows)
    parts = [f"{format.count(number)} {status}" for status, number in counted.most_common()]
    return " · ".join([format.plural(len(rows), "row"), *parts])


def machine(environment: Environment) -> str:
    """Return the machine in one line: its processor, GPUs, torch and commit, as far as they are known."""
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
        name: [f"{text} ({format.plural(number, 'row')})" for text, number in sorted(counted.items())]
        for name, counted in (("timer", timers), ("memory meter", meters))
    }
    sections: dict[str, Any] = {"measured": about}
    plain: dict[str, Any] = {}
    for name, value in encode(run.environment).items():
        if isinstance(value, Mapping):
            sections[name] = value
        elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
            sections |= {f"{name} {number}": part for number, part in enumerate(value)}
        else:
            plain[name] = value
    sections |= {"other": plain, "plan": encode(run.plan)}
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
    """Return a value of the environment as people read it."""
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)
