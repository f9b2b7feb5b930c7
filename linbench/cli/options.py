"""Options that several commands share; related options are passed to a command as one value."""

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


def combine_options(name: str, build: Callable[..., object], *decorators: Decorator) -> Decorator:
    """Return a decorator that adds options to a command and passes them to it as one value.

    Args:
        name: The parameter of the command that receives the value.
        build: Function that makes the value; its parameters have the names of the options.
        decorators: Decorators that add one option each, in the order of the help.
    """
    option_names = tuple(signature(build).parameters)

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(*arguments: object, **values: object) -> object:
            value = build(**{option: values.pop(option) for option in option_names})
            return function(*arguments, **values, **{name: value})

        decorated_command: Command = command
        for decorator in reversed(decorators):
            decorated_command = decorator(decorated_command)
        return decorated_command

    return decorate


class Group(click.Group):
    """A group of commands whose error for an unknown command names the nearest ones."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in self.commands:
            raise unknown(f"command of {ctx.command_path}:", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


db = click.option(
    "--db",
    default=DEFAULT_DB,
    show_default=True,
    metavar="PATH|URL",
    help="A SQLite file, or the URL of a PostgreSQL database.",
)
plugin = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE",
    help="A Python file that registers your own implementations; may be repeated.",
)
device = click.option(
    "--device",
    type=types.DEVICE,
    metavar="cpu|cuda",
    help="The device to measure on.  [default: cuda if a GPU is visible, else cpu]",
)
timeout = click.option(
    "--timeout",
    type=types.DURATION,
    default="120s",
    show_default=True,
    metavar="DURATION",
    help="Stop a case that takes longer.",
)


def output_format(*choices: str) -> Decorator:
    """Return the option --format, whose first choice and default is text."""
    return click.option(
        "--format",
        "form",
        type=types.one_of(["text", *choices]),
        default="text",
        show_default=True,
        metavar="|".join(["text", *choices]),
        help="The format of the output: text for people, json for programs.",
    )


def counts(axis: str, help_text: str) -> Decorator:
    """Return the option of an axis whose value is a list of counts."""
    return click.option(f"--{axis}", axis, type=types.COUNTS, metavar="LIST", help=help_text)


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

    options: dict[str, list[Scalar]] = {}
    for name, values in option:
        options.setdefault(name, []).extend(values)
    other_axes = {"dtype": dtype, "mode": mode, "seed": seed, "options": options or None}
    return typed_axes(B=B, tokens=tokens, T=T, H=H, D=D, K=K, V=V, **other_axes)


axes = combine_options(
    "axes",
    _axes,
    counts("T", "Sequence lengths, as in 512,1k..64k (a range doubles; k is 1024)."),
    counts("B", "Batch sizes."),
    counts("tokens", "Tokens per batch; sets B to tokens / T."),
    counts("H", "Numbers of heads."),
    counts("D", "Head dimensions; sets both K and V."),
    counts("K", "Head dimensions of the queries and keys."),
    counts("V", "Head dimensions of the values."),
    click.option(
        "--dtype",
        type=types.DTYPE_LIST,
        metavar="LIST",
        help="Data types: float64, float32, float16, bfloat16.",
    ),
    click.option(
        "--mode", type=types.MODE_LIST, metavar="LIST", help="Modes: fwd, fwd_bwd, prefill, decode."
    ),
    click.option(
        "--option",
        type=types.OPTION,
        multiple=True,
        metavar="NAME=LIST",
        help="Values of an operator's option, as in feature_map=relu; may be repeated.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, LARGEST_COUNT),
        metavar="N",
        help="The seed of the inputs.  [default: 0]",
    ),
)
"""The axes of a case, passed to the command as `axes: Axes`."""


@dataclass(frozen=True)
class Selection:
    """The implementations to run, the cases to run them at, and the device to run them on.

    Attributes:
        grid: Name of a shipped grid, or path of a .toml file; None if --grid is not set.
        axes: Axes that replace those of the grid.
        operators: Operators all of whose implementations are selected.
        implementations: Names of further implementations to select.
        device: cpu or cuda; None if --device is not set.
        timer: Name of the timer; None for the default of the device.
        plugins: Python files that register implementations.
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


selection = combine_options(
    "selection",
    _selection,
    click.option(
        "--grid",
        metavar="NAME|FILE",
        help="A shipped grid (see `linbench list grids`) or a .toml file.  [default: quick]",
    ),
    axes,
    click.option(
        "--op",
        type=types.OPERATORS,
        multiple=True,
        metavar="LIST",
        help="Operators, with all of their implementations; may be repeated.",
    ),
    click.option(
        "--impl",
        type=types.IMPLEMENTATIONS,
        multiple=True,
        metavar="LIST",
        help="Implementations, as in linear/chunk,softmax/flash; may be repeated.",
    ),
    device,
    click.option(
        "--timer",
        metavar="NAME",
        help=f"The timer: {', '.join(TIMERS)}.  [default: cpu; cuda_events_cold on CUDA]",
    ),
    plugin,
)
"""The implementations and their cases, passed to the command as `selection: Selection`."""


@dataclass(frozen=True)
class Limits:
    """The limits on a worker process.

    Attributes:
        timeout_s: Most seconds per case.
        max_memory_bytes: Most resident memory; None for a safe share of the free memory.
    """

    timeout_s: float
    max_memory_bytes: int | None


def _limits(timeout: float, max_memory: int | None) -> Limits:
    return Limits(timeout, max_memory)


limits = combine_options(
    "limits",
    _limits,
    timeout,
    click.option(
        "--max-memory",
        type=types.SIZE,
        metavar="SIZE",
        help="The most memory that a worker may use, as in 12GiB.  [default: 80% of the free memory]",
    ),
)
"""The limits on a worker process, passed to the command as `limits: Limits`."""


def command_line(db: str, arguments: Sequence[str]) -> list[str]:
    """Return the command as it was typed, without the password in the URL of the database."""
    from linbench.store.database import hide_password

    return ["linbench", *(hide_password(argument) if argument == db else argument for argument in arguments)]


def case_flags(case: Case) -> str:
    """Return the flags that select a case in `linbench run` and other commands."""
    flags = [flag for axis in AXES for flag in (f"--{axis}", str(getattr(case, axis)))]
    flags += ["--dtype", case.dtype, "--mode", case.mode, "--device", case.device]
    for name, value in sorted(case.options.items()):
        flags += ["--option", f"{name}={types.scalar_text(value)}"]
    if case.seed:
        flags += ["--seed", str(case.seed)]
    return shlex.join(flags)
