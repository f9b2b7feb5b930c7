"""Options that several commands have, and what their values become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from linbench.core.errors import UsageError
from linbench.store import DEFAULT_DB

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


def _scalar(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
