"""Types of the values on the command line: each becomes what it means, or one line says what is allowed."""

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


class Parsed(ParamType):
    """What a function makes of a text; its ValueError is the rest of the line that names the option."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return what was typed, or stands in a variable or in pyproject.toml, as what it means."""
        if not isinstance(value, str | int | float):
            return value  # parsed already
        try:
            return self._parse(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


def one_of(allowed: Collection[str]) -> Parsed:
    """Return the type of one of some names."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return Parsed("name", parse)


def names(hint: str) -> Parsed:
    """Return the type of a,b: a tuple of names.

    Args:
        hint: What to say to who names nothing.
    """

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(word.strip() for word in text.split(",") if word.strip())
        if not found:
            raise ValueError(f"no name is given; {hint}")
        return found

    return Parsed("list", parse)


def names_of(allowed: Collection[str]) -> Parsed:
    """Return the type of a,b: a tuple of names, each of which is allowed."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        for name in found:
            if name not in allowed:
                raise ValueError(f"{name!r} is not one of {', '.join(allowed)}")
        return found

    return Parsed("list", parse)


def assignment(form: str, example: str, value: Callable[[str], Scalar] = str) -> Parsed:
    """Return the type of NAME=VALUE[,VALUE]: the name, and a tuple of its values.

    Args:
        form: What to write.
        example: Of that form.
        value: What becomes of each value.
    """

    def parse(text: str) -> tuple[str, tuple[Scalar, ...]]:
        name, _, values = text.partition("=")
        if not name or not values:
            raise ValueError(f"{text!r}: write {form}, as in {example}")
        return name, tuple(map(value, values.split(",")))

    return Parsed("assignment", parse)


def scalar(text: str) -> Scalar:
    """Return true and false, a whole number or a number as what it is, and else the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def scalar_text(value: Scalar) -> str:
    """Return a value as it is typed: `scalar` makes it of that again."""
    return str(value).lower() if isinstance(value, bool) else str(value)


COUNTS: Final = Parsed("list", parse_counts)
DURATION: Final = Parsed("duration", parse_duration)
SIZE: Final = Parsed("size", parse_bytes)
PERCENT: Final = Parsed("percent", parse_percent)
DEVICE: Final = one_of(DEVICES)
DTYPE_LIST: Final = names_of(DTYPES)
MODE_LIST: Final = names_of(MODES)
IMPLEMENTATIONS: Final = names("see `linbench list implementations`")
OPERATORS: Final = names("see `linbench list operators`")
COLUMNS: Final = names("write a column like D or mode")
OPTION: Final = assignment("NAME=VALUE", "feature_map=relu", scalar)
WHERE: Final = assignment("COLUMN=VALUE[,VALUE]", "mode=fwd")
