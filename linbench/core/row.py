"""Row: a measurement as one flat record; the one list of its columns.

The columns are the fields of `Measurement`; each field of its parts (case, time, memory, work) is a column of
its own. The schema of the store, frames, CSV, JSON lines and their JSON Schema derive from this list: a new
column is a new field.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from linbench.core.codec import decode, encode
from linbench.core.measurement import NO_SAMPLES, Measurement
from linbench.core.samples import Samples

RENAMED: Final = {("memory", "meter"): "memory_meter"}
"""Column names of fields whose name is ambiguous without that of their part."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Name in the store, files and frames.
        part: Field of `Measurement` that contains it: case, time, memory or work; empty for its own fields.
        field: Name of the field.
        kind: Annotation of the field, without None.
        is_optional: Whether it may be null.
        is_required: Whether it is never null where its part is present.
    """

    name: str
    part: str
    field: str
    kind: Any
    is_optional: bool
    is_required: bool = True

    @property
    def base(self) -> type:
        """The plain type of its values: bool, int, float, a subclass of str, or another type of JSON data."""
        kind = get_args(self.kind)[0] if get_origin(self.kind) is not None else self.kind
        return kind if isinstance(kind, type) else object


PARTS: Final = ("case", "time", "memory", "work")


def _columns() -> tuple[Column, ...]:
    columns = []
    for field, hint in get_type_hints(Measurement, include_extras=True).items():
        kind, is_optional = _without_none(hint)
        if field not in PARTS:
            columns.append(Column(field, "", field, kind, is_optional))
            continue
        for name, inner in get_type_hints(kind, include_extras=True).items():
            inner_kind, may_be_none = _without_none(inner)
            if inner_kind is not Samples:  # they have a table of their own
                column = RENAMED.get((field, name), name)
                is_nullable = is_optional or may_be_none
                columns.append(Column(column, field, name, inner_kind, is_nullable, not may_be_none))
    return tuple(columns)


def _without_none(hint: object) -> tuple[object, bool]:
    """Return an annotation without None, and whether it allowed None."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    members = [member for member in get_args(hint) if member is not type(None)]
    return reduce(or_, members), len(members) < len(get_args(hint))


COLUMNS: Final = _columns()


def columns_of(part: str) -> tuple[Column, ...]:
    """Return the columns of a part."""
    return tuple(column for column in COLUMNS if column.part == part)


REQUIRED: Final = {
    part: tuple(column.name for column in columns_of(part) if column.is_required) for part in PARTS
}
"""By part, the columns that are either all present or all null."""


def to_row(measurement: Measurement) -> dict[str, object]:
    """Return a measurement as plain JSON data, one value per column, without the samples."""
    time = measurement.time and replace(measurement.time, samples=NO_SAMPLES)
    nested = encode(replace(measurement, time=time))
    return {
        column.name: nested[column.field]
        if not column.part
        else (nested[column.part] or {}).get(column.field)
        for column in COLUMNS
    }


def from_row(row: Mapping[str, object], samples: Mapping[str, object] | None = None) -> Measurement:
    """Return the measurement of a row of `to_row`.

    Args:
        row: One value per column; other keys are ignored.
        samples: One list per channel, if the samples were read.

    Raises:
        ValueError: The row is not a valid measurement; the message names the column.
    """
    nested: dict[str, Any] = {column.field: row[column.name] for column in COLUMNS if not column.part}
    for part in PARTS:
        nested[part] = _part(part, row)
    if nested["time"] is not None and samples:
        nested["time"]["samples"] = samples
    elif samples:
        raise ValueError("there are samples, but median_s is null")
    return decode(Measurement, nested)


def _part(part: str, row: Mapping[str, object]) -> dict[str, object] | None:
    """Return the values of a part by field, or None if the part is absent."""
    values = {column.field: row[column.name] for column in columns_of(part)}
    present = [name for name in REQUIRED[part] if row[name] is not None]
    if len(present) == len(REQUIRED[part]):
        return values
    if present:
        raise ValueError(f"{', '.join(REQUIRED[part])} must be all present or all null")
    optional = [column.name for column in columns_of(part) if row[column.name] is not None]
    if optional:
        raise ValueError(f"{optional[0]} is present, but {REQUIRED[part][0]} is null")
    return None
