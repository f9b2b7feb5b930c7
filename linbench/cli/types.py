"""Types of the values on the command line: each parses a value, or reports in one line what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import click

from linbench.core.case import DEVICES, DTYPES, MODES, Scalar
from linbench.text.quantity import parse_bytes, parse_counts, parse_duration, parse_percent

if TYPE_CHECKING:
    ParamType = click.ParamType[object]  # generic in newer versions only
else:
    ParamType = click.ParamType


class ParsedType(ParamType):
    """The type of values that a function parses; a ValueError of the function becomes the error message."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Parse a value from the command line, an environment variable or pyproject.toml."""
        if not isinstance(value, str | int | float):
            return value  # already parsed
        try:
            return self._parse(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def one_of(allowed: Collection[str]) -> ParsedType:
    """Return the type of a name that is one of the allowed names."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return ParsedType("name", parse)


def names(hint: str) -> ParsedType:
    """Return the type of a comma-separated list of names, which is parsed to a tuple.

    Args:
        hint: What to type instead, for the error about an empty list.
    """

    def parse(text: str) -> tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if not parts:
            raise ValueError(f"no name is given; {hint}")
        return parts

    return ParsedType("list", parse)


def names_of(allowed: Collection[str]) -> ParsedType:
    """Return the type of a comma-separated list of allowed names, which is parsed to a tuple."""

    def parse(text: str) -> tuple[str, ...]:
        parts = tuple(text.split(","))
        for name in parts:
            if name not in allowed:
                raise ValueError(f"{name!r} is not one of {', '.join(allowed)}")
        return parts

    return ParsedType("list", parse)


def assignment(form: str, example: str, value: Callable[[str], Scalar] = str) -> ParsedType:
    """Return the type of NAME=VALUE[,VALUE], which is parsed to the name and a tuple of its values.

    Args:
        form: The form to write, for the error message.
        example: An example of that form.
        value: Function that parses each value.
    """

    def parse(text: str) -> tuple[str, tuple[Scalar, ...]]:
        name, _, values = text.partition("=")
        if not name or not values:
            raise ValueError(f"{text!r}: write {form}, as in {example}")
        return name, tuple(map(value, values.split(",")))

    return ParsedType("assignment", parse)


def scalar(text: str) -> Scalar:
    """Parse a boolean, an integer or a number; return any other text as it is."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def scalar_text(value: Scalar) -> str:
    """Return the text of a value that `scalar` parses back to it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


COUNTS: Final = ParsedType("list", parse_counts)
DURATION: Final = ParsedType("duration", parse_duration)
SIZE: Final = ParsedType("size", parse_bytes)
PERCENT: Final = ParsedType("percent", parse_percent)
DEVICE: Final = one_of(DEVICES)
DTYPE_LIST: Final = names_of(DTYPES)
MODE_LIST: Final = names_of(MODES)
IMPLEMENTATIONS: Final = names("see `linbench list implementations`")
OPERATORS: Final = names("see `linbench list operators`")
COLUMNS: Final = names("write a column like D or mode")
OPTION: Final = assignment("NAME=VALUE[,VALUE]", "feature_map=relu", scalar)
WHERE: Final = assignment("COLUMN=VALUE[,VALUE]", "mode=fwd")
