"""Codec: frozen dataclasses as JSON and back, each value checked against its annotation."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


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
    """Return a dataclass as one line of JSON, without its end."""
    return adapter(type(value)).dump_json(value)


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
