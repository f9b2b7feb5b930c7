"""The tables of the store."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import JSON, TypeEngine

from linbench.core import row
from linbench.core.bounds import Bytes
from linbench.core.samples import CHANNELS

REVISION = "0001"

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("environment", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("number", Integer, nullable=False, server_default="0"),  # start order; clocks may be set back
    Column("imported_from", Text),  # None if the run was measured into this store
    Index("runs_by_number", "number"),
)


def _column(column: row.Column) -> Column[Any]:
    """Return the database column of a column of a row."""
    return Column(column.name, _type(column), nullable=column.is_optional)


def _type(column: row.Column) -> TypeEngine[Any]:
    """Return the database type of a column's values."""
    if column.base is bool:
        return Boolean()
    if column.base is int:
        return BigInteger() if column.kind is Bytes else Integer()
    if column.base is float:
        return Float()
    if issubclass(column.base, StrEnum):
        return String(32)
    return Text() if column.base is str else JSON(none_as_null=True)


measurements = Table(
    "measurements",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", String(64), ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
    Column("case_id", String(12), nullable=False),
    *map(_column, row.COLUMNS),
    Index("measurements_by_run", "run"),
    Index("measurements_by_case", "implementation", "case_id"),
)

samples = Table(
    "samples",
    metadata,
    Column("measurement", Integer, ForeignKey("measurements.id", ondelete="RESTRICT"), primary_key=True),
    *(Column(name, LargeBinary, nullable=False) for name in CHANNELS),
)

baselines = Table(
    "baselines",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("run", String(64), ForeignKey("runs.id", ondelete="RESTRICT"), nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("operator", Text, nullable=False),
    Column("implementation", Text, nullable=False),
    Column("case_id", String(12), nullable=False),
    Column("case", JSON, nullable=False),
    Column("tool", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    Column("breakdown", JSON),
    Column("memory", JSON, nullable=False),
    Column("artifacts", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("profiled_at", String(32), nullable=False),
    Index("profiles_by_implementation", "implementation"),
)
