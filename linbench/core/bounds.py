"""Bounds: the allowed values of columns, as annotations of the fields of dataclasses.

pydantic checks them where data come from a file, a database or a worker (`linbench.core.codec`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le, Len

from linbench.text.quantity import LARGEST_COUNT

LARGEST_INTEGER: Final = 2**63 - 1
CLOSED: Final = {"extra": "forbid"}
"""The `__pydantic_config__` of a dataclass that rejects unknown keys."""


@dataclass(frozen=True)
class Choice:
    """One of several strings."""

    values: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> object:
        """Return the schema by which pydantic validates a value."""
        from pydantic_core import core_schema

        del source, handler
        return core_schema.literal_schema(list(self.values))


@dataclass(frozen=True)
class Pattern:
    """A string that matches a regular expression."""

    expression: str

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> object:
        """Return the schema by which pydantic validates a value."""
        from pydantic_core import core_schema

        del source, handler
        return core_schema.str_schema(pattern=self.expression)


Count = Annotated[int, Ge(1), Le(LARGEST_COUNT)]
Natural = Annotated[int, Ge(0), Le(LARGEST_COUNT)]
Bytes = Annotated[int, Ge(0), Le(LARGEST_INTEGER)]
Seconds = Annotated[float, Ge(0), Le(1e12)]
Magnitude = Annotated[float, Ge(0)]
Name = Annotated[str, Len(1, 200)]
Short = Annotated[str, Len(0, 32)]
