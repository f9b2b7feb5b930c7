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
    """Return what checks and converts values of a type; made once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode(value: object) -> Any:
    """Return a dataclass as plain JSON data."""
    return adapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[T], data: object) -> T:
    """Return the value of a type that plain JSON data stand for.

    Raises:
        ValueError: They stand for none; the line names the field.
    """
    try:
        return adapter(kind).validate_python(data)
    except ValidationError as error:
        raise ValueError(problem(error)) from None


def encode_text(value: object) -> bytes:
    """Return a dataclass as one line of JSON, without its end; a lone surrogate in a text is spelled out."""
    try:
        return adapter(type(value)).dump_json(value)
    except PydanticSerializationError:  # UTF-8 has no lone surrogate, and a text of a stranger's may
        text = json.dumps(encode(value), ensure_ascii=False)
        return LONE_SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()


def decode_text(kind: type[T], text: str | bytes) -> T:
    """Return the value of a type that JSON stands for; no type is guessed.

    Raises:
        ValueError: It stands for none; the line names the field.
    """
    try:
        return adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(problem(error)) from None


def problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, in one line that names the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:60] for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
