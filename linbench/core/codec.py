"""Codec: frozen dataclasses as JSON and back, each value checked against its annotation."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

T = TypeVar("T")
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return the adapter that validates and converts values of a type; it is created once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode(value: object) -> Any:
    """Return a dataclass as plain JSON data."""
    return adapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[T], data: object) -> T:
    """Return the value of a type from plain JSON data.

    Raises:
        ValueError: The data are not valid for the type; the message names the field.
    """
    try:
        return adapter(kind).validate_python(data)
    except ValidationError as error:
        raise ValueError(problem(error)) from None


def encode_text(value: object) -> bytes:
    """Return a dataclass as one line of JSON, without the newline; lone surrogates in text are escaped."""
    try:
        return adapter(type(value)).dump_json(value)
    except PydanticSerializationError:  # UTF-8 has no lone surrogates, but a plugin's text may
        text = json.dumps(encode(value), ensure_ascii=False)
        return LONE_SURROGATE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text).encode()


def decode_text(kind: type[T], text: str | bytes) -> T:
    """Return the value of a type from JSON; values of another type are not converted.

    Raises:
        ValueError: The JSON is not valid for the type; the message names the field.
    """
    try:
        return adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(problem(error)) from None


def problem(error: ValidationError) -> str:
    """Return the first validation error, in one line that names the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
