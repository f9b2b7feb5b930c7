"""The command line: one file per command; the only package that prints and exits."""

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
    "run": "Measure implementations over a grid, store every row and write the report.",
    "check": "Check one implementation against its reference, and print where it is wrong.",
    "compare": "Test whether B is slower than, faster than or the same as A.",
    "ci": "Compare the implementations that a pull request changed with their base.",
    "list": "List the operators, implementations, grids or runs.",
    "show": "Print the rows of a run.",
    "report": "Write the HTML report of a run.",
    "plot": "Draw a figure for a paper or a talk.",
    "table": "Print a table for a paper.",
    "paper": "Write the figures, tables, methods, data and rerun script of a run for a paper.",
    "history": "Print how the time of a case changed over runs, and between which commits.",
    "baseline": "Name runs, so that history and report can refer to them.",
    "export": "Write a run to a file, for linbench or for other tools.",
    "import": "Add an exported run to a database.",
    "profile": "Profile the time and the memory of a call, separately from any timing.",
    "kernels": "Print the GPU resources that compiled kernels use; no GPU is needed.",
    "doctor": "Describe this machine, and which implementations can run on it.",
    "selftest": "Test whether the measurements of this harness can be trusted on this machine.",
    "db": "Check a database.",
}


class LazyGroup(click.Group):
    """A group that imports a command only when the command is called, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it."""
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        del ctx
        command: click.Command = import_module(f"linbench.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="linbench")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Measure the time, the memory and the error of attention implementations.

    Start with `linbench run`, then open the report whose path it prints. Every option can also be set by an
    environment variable (LINBENCH_DB for --db) or in [tool.linbench] of ./pyproject.toml (db = "...").
    """
    settings = read_settings()
    nested = {
        "db": ("check",),
        "kernels": ("inspect",),
        "baseline": ("set", "list", "remove"),
        "list": ("operators", "implementations", "grids", "runs"),
    }
    ctx.default_map = dict.fromkeys(COMMANDS, settings) | {
        group: dict.fromkeys(names, settings) for group, names in nested.items()
    }


def read_settings() -> dict[str, object]:
    """Return the table [tool.linbench] of the pyproject.toml in the current folder.

    Raises:
        UsageError: The file is not TOML, or [tool.linbench] is not a table of known keys.
    """
    path = Path("pyproject.toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    tool = data.get("tool", {})
    settings = tool.get("linbench", {}) if isinstance(tool, dict) else {}
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: [tool.linbench] is not a table")
    keys = {
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
    for name, value in settings.items():
        if name == "plugin" and isinstance(value, list):
            continue
        if not isinstance(value, str | int | float):
            raise UsageError(f"{path}: [tool.linbench] {name} = {value!r}: write a string or a number")
        if name not in keys:
            raise unknown(f"key of [tool.linbench] in {path}:", name, keys)
    return settings


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its exit code."""
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
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.ClickException as error:
        click.echo(_error_line(error), err=True)
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
        click.echo("linbench: the output cannot be written: no space left on the device", err=True)
        return 1


def _error_line(error: click.ClickException) -> str:
    """Return an error of click as one line in the form of linbench, or the help if no command is given."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if "\n" in message:
        return message
    line = f"linbench: {message[0].lower()}{message[1:].rstrip('.')}"
    if context is None:
        return line
    if isinstance(error, click.NoSuchOption):
        names = [name for parameter in context.command.get_params(context) for name in parameter.opts]
        return f"linbench: {unknown('option', error.option_name, names)}"
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        return f"linbench: {_value_source(error.param, context)}: {error.message.rstrip('.')}"
    return f"{line}; see `{context.command_path} --help`"


def _value_source(parameter: click.Parameter | None, context: click.Context) -> str:
    """Return the source of a value: the flag, the environment variable or the key in pyproject.toml."""
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
