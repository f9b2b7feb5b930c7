"""Options that several commands have; those that belong together arrive as one value."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING

import click

from linbench.cli import types
from linbench.core.case import AXES, Case, Scalar
from linbench.core.errors import unknown
from linbench.core.timer import TIMERS
from linbench.store import DEFAULT_DB
from linbench.text.quantity import LARGEST_COUNT

if TYPE_CHECKING:
    from linbench.core.grid import Axes

SETTINGS = {"auto_envvar_prefix": "LINBENCH", "help_option_names": ["-h", "--help"], "max_content_width": 100}

Command = Callable[..., object]
Decorator = Callable[[Command], Command]


def together(name: str, build: Callable[..., object], *decorators: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, and passes it one value that is made of them.

    Args:
        name: The parameter of the command that takes the value.
        build: Makes it; the names of its parameters are those of the options.
        decorators: Each adds an option, in the order of the help, or is one like this.
    """
    own = tuple(signature(build).parameters)

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(*arguments: object, **given: object) -> object:
            value = build(**{option: given.pop(option) for option in own})
            return function(*arguments, **given, **{name: value})

        found: Command = command
        for decorator in reversed(decorators):
            found = decorator(found)
        return found

    return decorate


class Group(click.Group):
    """A command of several, which says what there is where one is not known."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        if cmd_name not in self.commands:
            raise unknown(f"command of {ctx.command_path}:", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


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
device = click.option(
    "--device", type=types.DEVICE, metavar="cpu|cuda", help="[default: cuda if there is one]"
)
timeout = click.option(
    "--timeout",
    type=types.DURATION,
    default="120s",
    show_default=True,
    metavar="DURATION",
    help="Give up a case after this.",
)


def output_format(*choices: str) -> Decorator:
    """Return the option --format, text first."""
    return click.option(
        "--format",
        "form",
        type=types.one_of(["text", *choices]),
        default="text",
        show_default=True,
        metavar="|".join(["text", *choices]),
        help="text for people, json for programs.",
    )


def counts(axis: str, about: str) -> Decorator:
    """Return the option of an axis that is a list of counts."""
    return click.option(f"--{axis}", axis, type=types.COUNTS, metavar="LIST", help=about)


def _axes(
    T: tuple[int, ...] | None,
    B: tuple[int, ...] | None,
    tokens: tuple[int, ...] | None,
    H: tuple[int, ...] | None,
    D: tuple[int, ...] | None,
    K: tuple[int, ...] | None,
    V: tuple[int, ...] | None,
    dtype: tuple[str, ...] | None,
    mode: tuple[str, ...] | None,
    option: tuple[tuple[str, tuple[Scalar, ...]], ...],
    seed: int | None,
) -> Axes:
    from linbench.core.grid import typed_axes

    asked: dict[str, list[Scalar]] = {}
    for name, values in option:
        asked.setdefault(name, []).extend(values)
    named = {"dtype": dtype, "mode": mode, "seed": seed, "options": asked or None}
    return typed_axes(B=B, tokens=tokens, T=T, H=H, D=D, K=K, V=V, **named)


axes = together(
    "axes",
    _axes,
    counts("T", "Sequence lengths: 512,1k..64k (a range doubles; k is 1024)."),
    counts("B", "Batch sizes."),
    counts("tokens", "Tokens in all; B is tokens / T."),
    counts("H", "Heads."),
    counts("D", "Head dimensions; sets K and V."),
    counts("K", "Dimensions of queries and keys."),
    counts("V", "Dimensions of values."),
    click.option(
        "--dtype", type=types.DTYPE_LIST, metavar="LIST", help="float64, float32, float16, bfloat16."
    ),
    click.option("--mode", type=types.MODE_LIST, metavar="LIST", help="fwd, fwd_bwd, prefill, decode."),
    click.option(
        "--option",
        type=types.OPTION,
        multiple=True,
        metavar="NAME=VALUE",
        help="An operator's option: feature_map=relu.",
    ),
    click.option(
        "--seed", type=click.IntRange(0, LARGEST_COUNT), metavar="N", help="Seed of the inputs.  [default: 0]"
    ),
)
"""The axes of a case, as `axes: Axes`."""


@dataclass(frozen=True)
class Selection:
    """Which implementations, at which cases, on what.

    Attributes:
        grid: A shipped grid or a .toml file; None if it was not named.
        axes: In place of the grid's.
        operators: Take every implementation of these.
        implementations: Take these as well.
        device: cpu or cuda; None if it was not named.
        timer: Its name; None for the device's own.
        plugins: Python files.
    """

    grid: str | None
    axes: Axes
    operators: tuple[str, ...]
    implementations: tuple[str, ...]
    device: str | None
    timer: str | None
    plugins: tuple[str, ...]


def _selection(
    grid: str | None,
    axes: Axes,
    op: tuple[tuple[str, ...], ...],
    impl: tuple[tuple[str, ...], ...],
    device: str | None,
    timer: str | None,
    plugin: tuple[str, ...],
) -> Selection:
    return Selection(grid, axes, sum(op, ()), sum(impl, ()), device, timer, plugin)


selection = together(
    "selection",
    _selection,
    click.option(
        "--grid",
        metavar="NAME|FILE",
        help="A shipped grid (linbench list grids) or a .toml file.  [default: quick]",
    ),
    axes,
    click.option(
        "--op",
        type=types.OPERATORS,
        multiple=True,
        metavar="LIST",
        help="Operators, with all their implementations.",
    ),
    click.option(
        "--impl",
        type=types.IMPLEMENTATIONS,
        multiple=True,
        metavar="LIST",
        help="Implementations: linear/chunk,softmax/flash.",
    ),
    device,
    click.option(
        "--timer", metavar="NAME", help=f"{', '.join(TIMERS)}.  [default: cpu; cuda_events_cold on CUDA]"
    ),
    plugin,
)
"""Which implementations at which cases, as `selection: Selection`."""


@dataclass(frozen=True)
class Bounds:
    """What a worker may take.

    Attributes:
        timeout_s: Seconds.
        max_memory_bytes: Resident memory; None for a safe share of what is free.
    """

    timeout_s: float
    max_memory_bytes: int | None


def _bounds(timeout: float, max_memory: int | None) -> Bounds:
    return Bounds(timeout, max_memory)


bounds = together(
    "bounds",
    _bounds,
    timeout,
    click.option(
        "--max-memory",
        type=types.SIZE,
        metavar="SIZE",
        help="Most memory of a worker: 12GiB.  [default: 80% of what is free]",
    ),
)
"""What a worker may take, as `bounds: Bounds`."""


def typed_words(db: str, typed: Sequence[str]) -> list[str]:
    """Return the command as it was typed, without a password in the database's URL."""
    from linbench.store.database import hide_password

    return ["linbench", *(hide_password(word) if word == db else word for word in typed)]


def case_flags(case: Case) -> str:
    """Return the flags that select a case, as `linbench run` and others take them."""
    words = [word for axis in AXES for word in (f"--{axis}", str(getattr(case, axis)))]
    words += ["--dtype", case.dtype, "--mode", case.mode, "--device", case.device]
    for name, value in sorted(case.options.items()):
        words += ["--option", f"{name}={types.scalar_text(value)}"]
    if case.seed:
        words += ["--seed", str(case.seed)]
    return shlex.join(words)
