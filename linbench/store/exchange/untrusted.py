"""Untrusted: reads files from other sources, within limits; an error is one line with its position."""

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
MOST_CHARACTERS: Final = 1 << 16
LARGEST_INTEGER: Final = 2**63 - 1


class StrictModel(BaseModel):
    """Base of untrusted data: no unknown keys, no type coercion, and no NaN or infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=StrictModel)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: The file is missing, not a regular file, larger than 256 MiB, or not UTF-8.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # do not wait for a pipe
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: is not a regular file; name a file")
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: is larger than {MOST_BYTES:,} bytes, the limit")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line}: is not UTF-8") from None


def parse(text: str, where: str) -> Any:
    """Return the JSON data of a text: within the limits, with unique keys and finite numbers.

    Args:
        text: The JSON.
        where: The file and the line, for error messages.

    Raises:
        UsageError: The text is not such JSON.
    """
    try:
        value = json.loads(text, parse_constant=_reject_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise UsageError(f"{where}: is nested deeper than {MOST_DEPTH}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    _check_bounds(value, where)
    return value


def validate(model: type[Model], text: str, where: str) -> Model:
    """Return the JSON of a text as a model.

    Raises:
        UsageError: The JSON does not match the model; the message names the field.
    """
    try:
        return model.model_validate_json(text, strict=True)  # strict in nested values too
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = dotted(detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        is_complete = detail["type"] in ("missing", "extra_forbidden", "value_error")
        value = "" if is_complete else f", not {shorten(detail['input'])}"
        raise UsageError(f"{where}: {f'{field}: ' if field else ''}{message}{value}") from None


def shorten(value: object) -> str:
    """Return a value as text that is short enough for a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(place: Sequence[str | int]) -> str:
    """Return a position inside JSON as text: case.options.feature_map."""
    return ".".join(shorten(part)[1:-1] if isinstance(part, str) else str(part) for part in place)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed; write null for a missing number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {shorten(name)} occurs twice in one object")
        values[name] = value
    return values


def _check_bounds(value: object, where: str) -> None:
    """Raise UsageError for nesting, texts and numbers above the limits, and texts that databases reject."""
    stack: list[tuple[object, tuple[str | int, ...]]] = [(value, ())]
    while stack:
        part, place = stack.pop()
        problem = None
        if isinstance(part, dict | list):
            if len(place) >= MOST_DEPTH:
                raise UsageError(f"{where}: is nested deeper than {MOST_DEPTH}")
            if isinstance(part, dict):
                problem = next(filter(None, map(_text_problem, part)), None)
                stack += [(child, (*place, key)) for key, child in part.items()]
            else:
                stack += [(child, (*place, number)) for number, child in enumerate(part)]
        elif isinstance(part, str):
            problem = _text_problem(part)
        elif isinstance(part, float) and not math.isfinite(part):
            problem = "is too large for a number"
        elif isinstance(part, int) and abs(part) > LARGEST_INTEGER:
            problem = "is too large for an integer"
        if problem is not None:
            field = dotted(place)
            raise UsageError(f"{where}: {f'{field}: ' if field else ''}{problem}")


def _text_problem(text: str) -> str | None:
    if len(text) > MOST_CHARACTERS:
        return f"a text is longer than {MOST_CHARACTERS:,} characters"
    if "\0" in text:
        return "a text contains a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "a text contains a lone surrogate"
    return None
