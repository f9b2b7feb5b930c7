"""The command line: a file a command; the only place that prints and exits."""

from __future__ import annotations

import errno
import os
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
from click.core import ParameterSource

from linbench import __version__
from linbench.core.errors import LinbenchError, UsageError, unknown

COMMANDS = {
    "run": "Measure implementations over a grid, store every row, write the report.",
    "compare": "Say whether one side is slower, faster or the same as another.",
    "ci": "Compare what changed since a base, for a pull request.",
    "list": "Name the operators, implementations, grids or runs there are.",
    "show": "Print the rows of a run.",
    "report": "Write the HTML report of a run.",
    "plot": "Draw a figure for a paper or a talk.",
    "table": "Print a table for a paper.",
    "paper": "Write all that a paper needs of a run: figures, tables, methods, data, and how to rerun it.",
    "history": "Print how a case's time changed over runs, and between which commits.",
    "baseline": "Give runs names, by which history and report refer to them.",
    "export": "Write a run to a file, for linbench or for other tools.",
    "import": "Add a run that was exported to a file.",
    "profile": "Say where the time and the memory of a call go, apart from any timing.",
    "kernels": "Say what compiled kernels take of a GPU, without one.",
    "doctor": "Say what this machine is, and what can run on it and why not.",
    "selftest": "See whether this harness can be believed here.",
    "db": "Check a database.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; it is imported here."""
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        del ctx
        command: click.Command = import_module(f"linbench.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="linbench")
@click.pass_context
def app(ctx: click.Context) -> None:
    """How fast, how much memory and how wrong is each way of computing attention.

    Start with `linbench run`, then open the report that it names. Every option can also be set by an
    environment variable (LINBENCH_DB for --db) or in [tool.linbench] of ./pyproject.toml (db = "...").
    """
    settings = configured()
    nested = {
        "db": ("check",),
        "kernels": ("inspect",),
        "baseline": ("set", "list", "remove"),
        "list": ("operators", "implementations", "grids", "runs"),
    }
    ctx.default_map = dict.fromkeys(COMMANDS, settings) | {
        group: dict.fromkeys(names, settings) for group, names in nested.items()
    }


def configured() -> dict[str, object]:
    """Return [tool.linbench] of the pyproject.toml in this folder.

    Raises:
        UsageError: The file is not TOML, or the table is not one.
    """
    path = Path("pyproject.toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    tool = data.get("tool", {})
    found = tool.get("linbench", {}) if isinstance(tool, dict) else {}
    if not isinstance(found, dict):
        raise UsageError(f"{path}: [tool.linbench] is not a table")
    known = {
        "db",
        "device",
        "timeout",
        "min_time",
        "max_time",
        "samples",
        "max_memory",
        "time_limit",
        "plugin",
        "baseline",
    }
    for name, value in found.items():
        if name == "plugin" and isinstance(value, list):
            continue
        if not isinstance(value, str | int | float):
            raise UsageError(f"{path}: [tool.linbench] {name} = {value!r}: write a text or a number")
        if name not in known:
            raise unknown(f"key of [tool.linbench] in {path}:", name, known)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code = app.main(arguments, prog_name="linbench", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LinbenchError as error:
        click.echo(f"linbench: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        click.echo(_complaint(error), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo("linbench: the output cannot be written: no space left", err=True)
        return 1


def _complaint(error: click.ClickException) -> str:
    """Return what click complains of as a line like ours, or the help where no command is named."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in message:
        return message
    line = f"linbench: {message[0].lower()}{message[1:].rstrip('.')}"
    if context is None:
        return line
    if isinstance(error, click.NoSuchOption):
        there = [name for parameter in context.command.get_params(context) for name in parameter.opts]
        return f"linbench: {unknown('option', error.option_name, there)}"
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        return f"linbench: {_origin(error.param, context)}: {error.message.rstrip('.')}"
    return f"{line}; see `{context.command_path} --help`"


def _origin(parameter: click.Parameter | None, context: click.Context) -> str:
    """Return where a value stands: the flag, the variable or the key."""
    if parameter is None or parameter.name is None:
        return context.command_path
    source = context.get_parameter_source(parameter.name)
    if source is ParameterSource.ENVIRONMENT:
        return f"LINBENCH_{parameter.name.upper()}"
    if source is ParameterSource.DEFAULT_MAP:
        return f"[tool.linbench] {parameter.name}"
    return parameter.opts[0]


if __name__ == "__main__":
    main()
