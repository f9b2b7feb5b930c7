"""Options that several commands have, and what their values become."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from linbench.core.case import AXES, Case
from linbench.core.errors import UsageError
from linbench.core.quantity import LARGEST_COUNT, parse_bytes
from linbench.core.timer import TIMERS
from linbench.store import DEFAULT_DB

if TYPE_CHECKING:
    from linbench.core.run import Run
    from linbench.paper.chart import Chart

SETTINGS = {"auto_envvar_prefix": "LINBENCH", "help_option_names": ["-h", "--help"], "max_content_width": 100}

db = click.option(
    "--db",
    default=DEFAULT_DB,
    show_default=True,
    metavar="PATH|URL",
    help="SQLite file, or URL of a PostgreSQL database.",
)
plugin = click.option(
    "--plugin", multiple=True, metavar="FILE", help="Python file with implementations of your own."
)


def chained(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the options that several decorators add, the first of them first in the help."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


case_axes = chained(
    click.option(
        "--T", "T", metavar="LIST", help="Sequence lengths: 512,1k..64k (a range doubles; k is 1024)."
    ),
    click.option("--B", "B", metavar="LIST", help="Batch sizes."),
    click.option("--tokens", metavar="LIST", help="Tokens in all; B is tokens / T."),
    click.option("--H", "H", metavar="LIST", help="Heads."),
    click.option("--D", "D", metavar="LIST", help="Head dimensions; sets K and V."),
    click.option("--K", "K", metavar="LIST", help="Dimensions of queries and keys."),
    click.option("--V", "V", metavar="LIST", help="Dimensions of values."),
    click.option("--dtype", metavar="LIST", help="float64, float32, float16, bfloat16."),
    click.option("--mode", metavar="LIST", help="fwd, fwd_bwd, prefill, decode."),
    click.option(
        "--option",
        "case_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="An operator's option: feature_map=relu.",
    ),
    click.option("--seed", type=click.IntRange(0, LARGEST_COUNT), help="Seed of the inputs.  [default: 0]"),
)
"""The axes of a case."""

cases = chained(
    click.option(
        "--grid",
        metavar="NAME|FILE",
        help="A shipped grid (linbench list grids) or a .toml file.  [default: quick]",
    ),
    case_axes,
)
"""Which cases."""

implementations = chained(
    click.option("--op", multiple=True, metavar="LIST", help="Operators, with all their implementations."),
    click.option(
        "--impl", multiple=True, metavar="LIST", help="Implementations: linear/chunk,softmax/flash."
    ),
)
"""Which implementations."""

machine = chained(
    click.option("--device", metavar="cpu|cuda", help="[default: cuda if there is one]"),
    click.option(
        "--timer", metavar="NAME", help=f"{', '.join(TIMERS)}.  [default: cpu; cuda_events_cold on CUDA]"
    ),
    plugin,
)
"""On what, and with which plugins."""

bounds = chained(
    click.option(
        "--timeout", default="120s", show_default=True, metavar="DURATION", help="Give up a row after this."
    ),
    click.option(
        "--max-memory", metavar="SIZE", help="Most memory of a worker: 12GiB.  [default: 80% of what is free]"
    ),
)
"""What a worker may take."""


def axes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes that were typed, as `linbench.api.plan_run` takes them."""
    found = {name: given[name] for name in ("B", "tokens", "T", "H", "D", "K", "V", "dtype", "mode")}
    found["seed"] = None if given["seed"] is None else [given["seed"]]
    found["options"] = case_options(given["case_options"])
    return found


def max_memory_bytes(given: Mapping[str, Any]) -> int | None:
    """Return what --max-memory says."""
    return parse_bytes(given["max_memory"], "--max-memory") if given["max_memory"] else None


def output_format(*choices: str) -> Callable[[Any], Any]:
    """Return the option --format, text first."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", *choices]),
        default="text",
        show_default=True,
        help="text for people, json for programs.",
    )


def chart(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a figure or a table shows."""
    for option in reversed(
        (
            click.option("--x", default="T", show_default=True, metavar="T|B|H|K|V|D"),
            click.option(
                "--y", default="time", show_default=True, metavar="time|memory|error|speedup|throughput"
            ),
            click.option(
                "--hue",
                default="implementation",
                show_default=True,
                metavar="COLUMN",
                help="What sets series apart.",
            ),
            click.option(
                "--facet", multiple=True, metavar="COLUMN", help="What sets panels apart; may be repeated."
            ),
            click.option(
                "--where",
                multiple=True,
                metavar="COLUMN=LIST",
                help="Keep these only: mode=fwd, D=32,64; may be repeated.",
            ),
            click.option("--baseline", metavar="IMPLEMENTATION", help="What --y speedup is over."),
        )
    ):
        command = option(command)
    return command


def charted(runs: Sequence[str], db: str, given: Mapping[str, Any]) -> tuple[list[Run], Chart]:
    """Return the runs that were named, the latest if none was, and the chart that the options ask for.

    Raises:
        UsageError: A name is not known, or the options do not fit together or the rows.
    """
    from linbench.paper.chart import chart
    from linbench.store.store import Store
    from linbench.store.table import frame

    store = Store(db)
    names = dict.fromkeys(store.find(name) for name in runs or ("latest",))
    found = [store.run(name) for name in names]
    where: dict[str, list[str]] = {}
    for value in given["where"]:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise UsageError(f"--where {value!r}: write COLUMN=VALUE[,VALUE], as in mode=fwd")
        where.setdefault(name, []).extend(rest.split(","))
    facets = [name for value in given["facet"] for name in value.split(",")]
    typed = click.get_current_context().get_parameter_source("baseline") is ParameterSource.COMMANDLINE
    shown = chart(
        frame(found),
        x=given["x"],
        y=given["y"],
        hue=given["hue"],
        facets=facets,
        where=where,
        baseline=given["baseline"] if typed or given["y"] == "speedup" else None,
    )
    return found, shown


def typed_words(db: str, typed: Sequence[str]) -> list[str]:
    """Return the command as it was typed, without a password in the database's URL."""
    from linbench.store.database import shown

    return ["linbench", *(shown(word) if word == db else word for word in typed)]


def words(values: Sequence[str], flag: str) -> list[str]:
    """Return the names in repeated, comma-separated values: ("a,b", "c") is [a, b, c].

    Raises:
        UsageError: The flag was given and names nothing.
    """
    found = [word.strip() for value in values for word in value.split(",") if word.strip()]
    if values and not found:
        raise UsageError(f"{flag}: no name is given; see `linbench list implementations`")
    return found


def case_options(values: Sequence[str]) -> dict[str, list[bool | int | float | str]] | None:
    """Return what --option NAME=VALUE[,VALUE] asks for, by name; None if nothing.

    Raises:
        UsageError: One is not of that form.
    """
    found: dict[str, list[bool | int | float | str]] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name or not rest:
            raise UsageError(f"--option {value!r}: write NAME=VALUE, as in feature_map=relu")
        found.setdefault(name, []).extend(_scalar(part) for part in rest.split(","))
    return found or None


def case_flags(case: Case) -> str:
    """Return the flags that select a case, as `linbench run` and others take them."""
    words = [word for axis in AXES for word in (f"--{axis}", str(getattr(case, axis)))]
    words += ["--dtype", case.dtype, "--mode", case.mode, "--device", case.device]
    for name, value in sorted(case.options.items()):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--option", f"{name}={text}"]
    if case.seed:
        words += ["--seed", str(case.seed)]
    return shlex.join(words)


def _scalar(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
