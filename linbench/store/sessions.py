"""Sessions: what pytest-benchmark timed, a session of pytest at a time; checked against nothing: no runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select

from linbench.core.errors import UsageError
from linbench.store.database import open_engine, reading, shown, transaction
from linbench.store.row import pack, unpack
from linbench.store.schema import pytest_benchmarks, pytest_sessions

PREFIX = "pytest-"
RECORD_COLUMNS = ("fullname", "name", "group", "param", "params", "extra_info", "options", "stats")


@dataclass(frozen=True)
class Benchmark:
    """One use of pytest-benchmark's fixture.

    Attributes:
        fullname: Node id of the test.
        name: Its name, parameters included.
        group: Of which it was marked to be, or None.
        param: Its parameters in one text, or None.
        params: Its parameters by name, or None.
        extra_info: What the test added.
        options: How it was timed; `timer` names the clock.
        stats: pytest-benchmark's statistics of the rounds, seconds a call; `iterations` is calls a round.
        samples_s: Mean seconds a call of each round, in their order; empty if they were not kept.
    """

    fullname: str
    name: str
    group: str | None
    param: str | None
    params: Mapping[str, Any] | None
    extra_info: Mapping[str, Any]
    options: Mapping[str, Any]
    stats: Mapping[str, Any]
    samples_s: Sequence[float] = ()


@dataclass(frozen=True)
class Session:
    """A session of pytest in which pytest-benchmark timed something.

    Attributes:
        id: pytest-, the moment it was written, and twelve digits of the hash of what it holds.
        created_at: That moment, ISO 8601.
        version: pytest-benchmark's.
        machine_info: What it said of the machine.
        commit_info: What it said of the code.
        benchmarks: What it timed.
        imported_from: Name of the file that it was read from; None if linbench's plugin recorded it.
    """

    id: str
    created_at: str
    version: str
    machine_info: Mapping[str, Any]
    commit_info: Mapping[str, Any]
    benchmarks: tuple[Benchmark, ...]
    imported_from: str | None = None


@dataclass(frozen=True)
class SessionSummary:
    """A session in a list of sessions."""

    id: str
    created_at: str
    benchmarks: int
    imported_from: str | None


class Sessions:
    """The sessions of a store; they are added and never changed."""

    def __init__(self, place: str, *, write: bool = False) -> None:
        """Open the store.

        Raises:
            StoreError: It cannot be opened.
        """
        self.place = shown(place)
        self._engine = open_engine(place, write=write)

    def add(self, session: Session) -> bool:
        """Add a session, whole or not at all; return False if it is stored already, by its id."""
        head = {
            name: getattr(session, name)
            for name in ("id", "created_at", "version", "machine_info", "commit_info", "imported_from")
        }
        with transaction(self._engine, self.place) as connection:
            taken = select(pytest_sessions.c.id).where(pytest_sessions.c.id == session.id)
            if connection.execute(taken).first() is not None:
                return False
            connection.execute(insert(pytest_sessions).values(head))
            for found in session.benchmarks:
                values = {name: getattr(found, name) for name in RECORD_COLUMNS}
                values |= {
                    "session": session.id,
                    "samples_s": pack(found.samples_s) if found.samples_s else None,
                }
                connection.execute(insert(pytest_benchmarks).values(values))
        return True

    def summaries(self) -> list[SessionSummary]:
        """Return every session, the latest first."""
        counted = (
            select(pytest_benchmarks.c.session, func.count().label("n"))
            .group_by(pytest_benchmarks.c.session)
            .subquery()
        )
        query = (
            select(pytest_sessions, func.coalesce(counted.c.n, 0).label("n"))
            .outerjoin(counted)
            .order_by(pytest_sessions.c.created_at.desc(), pytest_sessions.c.id)
        )
        with reading(self._engine, self.place) as connection:
            found = connection.execute(query).all()
        return [SessionSummary(row.id, row.created_at, row.n, row.imported_from) for row in found]

    def session(self, name: str) -> Session:
        """Return the session of an id.

        Raises:
            UsageError: There is none.
        """
        rows = select(pytest_benchmarks).where(pytest_benchmarks.c.session == name)
        with reading(self._engine, self.place) as connection:
            head = connection.execute(select(pytest_sessions).where(pytest_sessions.c.id == name)).first()
            if head is None:
                raise UsageError(f"unknown session {name!r}; `linbench list sessions` names them")
            found = connection.execute(rows.order_by(pytest_benchmarks.c.id)).mappings().all()
        benchmarks = tuple(
            Benchmark(
                **{column: row[column] for column in RECORD_COLUMNS},
                samples_s=tuple(unpack(row["samples_s"] or b"")),
            )
            for row in found
        )
        return Session(
            head.id,
            head.created_at,
            head.version,
            head.machine_info,
            head.commit_info,
            benchmarks,
            head.imported_from,
        )
