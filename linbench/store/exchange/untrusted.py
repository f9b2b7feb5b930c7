"""Untrusted: reads what others wrote, within bounds, and says in one line what is wrong with it and where."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from linbench.core.errors import UsageError

MOST_BYTES: Final = 256 << 20
MOST_ROWS: Final = 100_000
MOST_DEPTH: Final = 32
MOST_LETTERS: Final = 1 << 16
LARGEST_INTEGER: Final = 2**63 - 1


class Outside(BaseModel):
    """Data from outside: every key is known, no type is guessed, and no number is NaN or infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Outside)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: There is none, it is no regular file, larger than 256 MiB, or not UTF-8.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not be waited for
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: is no regular file; name a file")
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: is larger than {MOST_BYTES:,} bytes, the most that is read")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line}: is not UTF-8") from None


def parse(text: str, where: str) -> Any:
    """Return the JSON that a text holds: within bounds, each key once, each number finite.

    Args:
        text: The JSON.
        where: What a complaint begins with: the file and the line.

    Raises:
        UsageError: It is not such JSON.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, object_pairs_hook=_keys_once)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise UsageError(f"{where}: is nested deeper than {MOST_DEPTH}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    _check_bounds(value, where)
    return value


def validated(model: type[Model], text: str, where: str) -> Model:
    """Return the JSON that a text holds as a model.

    Raises:
        UsageError: It does not fit; the line names the field.
    """
    try:
        return model.model_validate_json(text, strict=True)  # in what is nested, too
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        field = named(found["loc"])
        message = found["msg"].removeprefix("Value error, ")
        plain = found["type"] in ("missing", "extra_forbidden", "value_error")
        given = "" if plain else f", not {shortened(found['input'])}"
        raise UsageError(f"{where}: {f'{field}: ' if field else ''}{message}{given}") from None


def shortened(value: object) -> str:
    """Return a value as it may be quoted in a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def named(place: Sequence[str | int]) -> str:
    """Return a place within JSON: case.options.feature_map."""
    return ".".join(shortened(part)[1:-1] if isinstance(part, str) else str(part) for part in place)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number; write null where there is none")


def _keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {shortened(name)} stands twice in one object")
        found[name] = value
    return found


def _check_bounds(value: object, where: str) -> None:
    """Refuse what is too deep, too long, too large, or what no database takes as text."""
    left: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while left:
        part, place = left.pop()
        problem = None
        if isinstance(part, dict | list):
            if len(place) >= MOST_DEPTH:
                raise UsageError(f"{where}: is nested deeper than {MOST_DEPTH}")
            if isinstance(part, dict):
                problem = next((found for key in part if (found := _text_problem(key))), None)
                left += [(below, (*place, key)) for key, below in part.items()]
            else:
                left += [(below, (*place, number)) for number, below in enumerate(part)]
        elif isinstance(part, str):
            problem = _text_problem(part)
        elif isinstance(part, float) and not math.isfinite(part):
            problem = "is too large for a number"
        elif isinstance(part, int) and abs(part) > LARGEST_INTEGER:
            problem = "is too large for an integer"
        if problem is not None:
            field = named(place)
            raise UsageError(f"{where}: {f'{field}: ' if field else ''}{problem}")


def _text_problem(text: str) -> str | None:
    if len(text) > MOST_LETTERS:
        return f"a text is longer than {MOST_LETTERS:,} letters"
    if "\0" in text:
        return "a text has a NUL in it"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "a text has half a surrogate pair in it"
    return None
