"""Row: a measurement as one flat record; the one list of its columns.

The columns are the fields of `Measurement`; those of its parts (case, time, memory, work) are columns of
their own. The schema of the store, frames, CSV, JSON lines and their JSON Schema derive from this list: a new
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
"""Fields of a part whose name says too little without the part's."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As the store, files and frames have it.
        part: The field of `Measurement` in which it lies: case, time, memory or work; empty for its own.
        field: The name of the field.
        kind: What its values are, as the field is annotated, None left out.
        is_optional: Whether it may be null.
        is_required: Whether its part has it always.
    """

    name: str
    part: str
    field: str
    kind: Any
    is_optional: bool
    is_required: bool = True

    @property
    def base(self) -> type:
        """The plain type of its values: bool, int, float, a kind of str, or something that JSON holds."""
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
            of, may_be_none = _without_none(inner)
            if of is not Samples:  # they have a table of their own
                column = RENAMED.get((field, name), name)
                columns.append(Column(column, field, name, of, is_optional or may_be_none, not may_be_none))
    return tuple(columns)


def _without_none(hint: object) -> tuple[object, bool]:
    """Return an annotation without None, and whether it had it."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    left = [one for one in get_args(hint) if one is not type(None)]
    return reduce(or_, left), len(left) < len(get_args(hint))


COLUMNS: Final = _columns()


def columns_of(part: str) -> tuple[Column, ...]:
    """Return the columns of a part."""
    return tuple(column for column in COLUMNS if column.part == part)


REQUIRED: Final = {
    part: tuple(column.name for column in columns_of(part) if column.is_required) for part in PARTS
}
"""By part, the columns that stand together or not at all."""


def to_row(measurement: Measurement) -> dict[str, object]:
    """Return a measurement as plain JSON data, a value per column; samples are left out."""
    time = measurement.time and replace(measurement.time, samples=NO_SAMPLES)
    nested = encode(replace(measurement, time=time))
    return {
        column.name: nested[column.field]
        if not column.part
        else (nested[column.part] or {}).get(column.field)
        for column in COLUMNS
    }


def from_row(row: Mapping[str, object], samples: Mapping[str, object] | None = None) -> Measurement:
    """Return the measurement that `to_row` made a row of.

    Args:
        row: A value per column; what is none of them is left out.
        samples: A list per channel, where they were read.

    Raises:
        ValueError: It is no measurement; the line names the column.
    """
    nested: dict[str, Any] = {column.field: row[column.name] for column in COLUMNS if not column.part}
    for part in PARTS:
        nested[part] = _part(part, row)
    if nested["time"] is not None and samples:
        nested["time"]["samples"] = samples
    elif samples:
        raise ValueError("there are samples beside a median_s that is null")
    return decode(Measurement, nested)


def _part(part: str, row: Mapping[str, object]) -> dict[str, object] | None:
    """Return the values of a part by field, or None if it is not there."""
    values = {column.field: row[column.name] for column in columns_of(part)}
    present = [name for name in REQUIRED[part] if row[name] is not None]
    if len(present) == len(REQUIRED[part]):
        return values
    if present:
        raise ValueError(f"{', '.join(REQUIRED[part])} stand together or not at all")
    beside = [column.name for column in columns_of(part) if row[column.name] is not None]
    if beside:
        raise ValueError(f"{beside[0]} stands beside {REQUIRED[part][0]}, which is null")
    return None
