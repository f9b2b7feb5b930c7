"""Store: writes and reads runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, update

from linbench.core.case import Case
from linbench.core.codec import decode, encode
from linbench.core.environment import Environment
from linbench.core.errors import StoreError, UsageError, unknown
from linbench.core.measurement import Measurement
from linbench.core.plan import Plan
from linbench.core.row import columns_of, from_row, to_row
from linbench.core.run import Run
from linbench.core.samples import CHANNELS
from linbench.store.database import (
    hide_password,
    open_engine,
    read_connection,
    transaction,
    translate_errors,
)
from linbench.store.row import channels, pack, row_problems, storable
from linbench.store.schema import baselines, measurements, runs, samples

HEAD_COLUMNS = ("id", "created_at", "finished_at", "environment", "plan", "imported_from")
MOST_NAME = 64
CASE = tuple(column.name for column in columns_of("case"))
START_ORDER = (runs.c.number, runs.c.created_at, runs.c.id)


@dataclass(frozen=True)
class RunSummary:
    """A run in a list of runs.

    Attributes:
        id: Identifier of the run.
        created_at: Start time.
        finished_at: End time, or None.
        grid: Name of its grid.
        device: cpu or cuda.
        statuses: Number of rows by status.
        imported_from: Name of the file that it was imported from; None if it was measured into this store.
    """

    id: str
    created_at: str
    finished_at: str | None
    grid: str
    device: str
    statuses: Mapping[str, int]
    imported_from: str | None = None


@dataclass(frozen=True)
class HistoryPoint:
    """One result of a run for an implementation at a case.

    Attributes:
        run: Identifier of the run.
        created_at: Start time of the run.
        environment: The machine, its libraries and the code.
        implementation: Full name of the implementation.
        case: The measured case.
        timer: The timer that took every sample.
        median_s: Time of one call, seconds.
        calibration_s: Time of the calibration op in the same turns, seconds.
    """

    run: str
    created_at: str
    environment: Environment
    implementation: str
    case: Case
    timer: str
    median_s: float
    calibration_s: float


class Store:
    """A database of runs; rows are added but never changed.

    If an implementation was measured twice at a case in one run, the later row counts.
    """

    def __init__(self, place: str, *, write: bool = False) -> None:
        """Open the store.

        Raises:
            StoreError: The store cannot be opened.
        """
        self.place = hide_password(place)
        self._engine = open_engine(place, write=write)

    def begin(self, environment: Environment, plan: Plan) -> Run:
        """Add a run without rows and return it."""
        now = datetime.now(UTC)
        created_at = now.isoformat(timespec="seconds")
        next_number = select(func.coalesce(func.max(runs.c.number), 0) + 1).scalar_subquery()
        with transaction(self._engine, self.place) as connection:
            name = _new_id(now)
            while connection.execute(select(runs.c.id).where(runs.c.id == name)).first():
                name = _new_id(now)
            connection.execute(
                insert(runs).values(
                    id=name,
                    created_at=created_at,
                    environment=encode(environment),
                    plan=encode(plan),
                    number=next_number,
                )
            )
        return Run(name, created_at, None, environment, plan)

    def append(self, run: str, rows: Iterable[Measurement]) -> None:
        """Add rows to a run durably, in one transaction."""
        with transaction(self._engine, self.place) as connection:
            _insert(connection, run, rows)

    def add(self, run: Run) -> bool:
        """Add a complete imported run; return False if an identical run is already stored.

        An imported run is ordered before the runs that were measured into this store, so that "latest" is
        one of those.

        Raises:
            UsageError: A different run with the same id is stored; nothing was changed.
        """
        with transaction(self._engine, self.place) as connection:
            new = connection.execute(select(runs.c.id).where(runs.c.id == run.id)).first() is None
            if new:
                head = {name: getattr(run, name) for name in HEAD_COLUMNS}
                head |= {"environment": encode(run.environment), "plan": encode(run.plan)}
                connection.execute(insert(runs).values(**head, number=0))
                _insert(connection, run.id, run.measurements)
        if not new and self.run(run.id, with_samples=True) != run:
            raise UsageError(
                f"a different run {run.id} is already stored in {self.place}; nothing was imported: "
                "name another database with --db"
            )
        return new

    def finish(self, run: str) -> None:
        """Record the end time of a run."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with transaction(self._engine, self.place) as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(finished_at=now))

    def summaries(self) -> list[RunSummary]:
        """Return every run, the latest start first."""
        statuses: dict[str, dict[str, int]] = {}
        per_status = select(measurements.c.run, measurements.c.status, func.count()).where(_is_latest())
        with read_connection(self._engine, self.place) as connection:
            for run, status, count in connection.execute(per_status.group_by("run", "status")):
                statuses.setdefault(run, {})[status] = count
            newest_first = (column.desc() for column in START_ORDER)
            rows = connection.execute(select(runs).order_by(*newest_first)).all()
        return [
            RunSummary(
                row.id,
                row.created_at,
                row.finished_at,
                row.plan["grid"]["name"],
                row.plan["device"],
                statuses.get(row.id, {}),
                row.imported_from,
            )
            for row in rows
        ]

    def find(self, name: str) -> str:
        """Return the id of the run with a name: "latest", an id, or a unique prefix of an id.

        "latest" is the run that started last, in order of insertion and not by the clock.

        Raises:
            UsageError: The name matches no run, or several.
        """
        with read_connection(self._engine, self.place) as connection:
            ids: list[str] = list(connection.execute(select(runs.c.id).order_by(*START_ORDER)).scalars())
        if not ids:
            raise UsageError(f"database {self.place} holds no run yet; `linbench run` creates one")
        if name == "latest":
            return ids[-1]
        matches = [run for run in ids if run.startswith(name)] if name else []
        if name in matches:
            return name
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"run {name!r} matches {len(matches)} runs: {', '.join(matches[:5])}; type more of the id"
            )
        raise UsageError(f"unknown run {name!r}; `linbench list runs` lists them, and latest is {ids[-1]}")

    def run(self, name: str, *, with_samples: bool = False) -> Run:
        """Return a run with its rows.

        Args:
            name: A name that `find` accepts.
            with_samples: Read the samples too.

        Raises:
            UsageError: There is no such run.
        """
        run = self.find(name)
        query = (
            select(measurements).where(measurements.c.run == run, _is_latest()).order_by(measurements.c.id)
        )
        with read_connection(self._engine, self.place) as connection:
            head = connection.execute(select(runs).where(runs.c.id == run)).one()
            rows = connection.execute(query).mappings().all()
            samples_of: dict[int, dict[str, list[float]]] = {}
            if with_samples:
                blobs = select(samples).join(measurements).where(measurements.c.run == run)
                for row in connection.execute(blobs).mappings():
                    samples_of[row["measurement"]] = channels(dict(row))
        with translate_errors(self.place):
            environment, plan = decode(Environment, head.environment), decode(Plan, head.plan)
        results = []
        for row in rows:
            try:
                results.append(from_row(dict(row), samples_of.get(row["id"])))
            except (KeyError, ValueError) as error:
                raise StoreError(
                    f"database {self.place}: row {row['id']} is damaged: {error}; see `linbench db check`"
                ) from None
        return Run(
            head.id,
            head.created_at,
            head.finished_at,
            environment,
            plan,
            tuple(results),
            head.imported_from,
        )

    def history(self, implementation: str | None = None, case: str | None = None) -> list[HistoryPoint]:
        """Return every row with a time and a calibration time, in the start order of the runs.

        Args:
            implementation: Full name of the only implementation; None for all.
            case: Prefix of the ids of the cases; None for all.
        """
        conditions = []
        if implementation is not None:
            conditions.append(measurements.c.implementation == implementation)
        if case is not None:
            conditions.append(measurements.c.case_id.startswith(case, autoescape=True))
        return self._history_points(*conditions)

    def history_of(self, run: str) -> list[HistoryPoint]:
        """Return the history of every implementation and case that a run measured."""
        in_run = measurements.alias("in_run")
        return self._history_points(
            select(in_run.c.id)
            .where(
                in_run.c.run == run,
                in_run.c.implementation == measurements.c.implementation,
                in_run.c.case_id == measurements.c.case_id,
            )
            .exists()
        )

    def _history_points(self, *conditions: ColumnElement[bool]) -> list[HistoryPoint]:
        columns = (
            *(measurements.c[name] for name in ("run", "implementation", *CASE)),
            *(measurements.c[name] for name in ("timer", "median_s", "calibration_median_s")),
        )
        query = (
            select(*columns)
            .join(runs)
            .where(measurements.c.calibration_median_s.is_not(None), _is_latest(), *conditions)
            .order_by(*START_ORDER, measurements.c.id)
        )
        with read_connection(self._engine, self.place) as connection:
            rows = connection.execute(query).mappings().all()
            query = select(runs.c.id, runs.c.created_at, runs.c.environment)
            heads = {head.id: head for head in connection.execute(query)} if rows else {}
            environments = {run: decode(Environment, head.environment) for run, head in heads.items()}
        return [
            HistoryPoint(
                row["run"],
                heads[row["run"]].created_at,
                environments[row["run"]],
                row["implementation"],
                Case(**{name: row[name] for name in CASE}),
                row["timer"],
                row["median_s"],
                row["calibration_median_s"],
            )
            for row in rows
        ]

    def set_baseline(self, name: str, run: str) -> str:
        """Give a run a name, which its previous run loses, and return the run's id.

        Args:
            name: At most 64 characters.
            run: A name that `find` accepts.

        Raises:
            UsageError: There is no such run, or the name is empty or too long.
        """
        if not name.strip() or len(name) > MOST_NAME:
            raise UsageError(f"baseline {name!r}: a name has 1 to {MOST_NAME} characters")
        run_id = self.find(run)
        with transaction(self._engine, self.place) as connection:
            connection.execute(delete(baselines).where(baselines.c.name == name))
            connection.execute(insert(baselines).values(name=name, run=run_id))
        return run_id

    def remove_baseline(self, name: str) -> None:
        """Remove a name from its run.

        Raises:
            UsageError: No run has the name.
        """
        names = self.baselines()
        if name not in names:
            raise unknown("baseline", name, names)
        with transaction(self._engine, self.place) as connection:
            connection.execute(delete(baselines).where(baselines.c.name == name))

    def baselines(self) -> dict[str, str]:
        """Return the run of each name."""
        with read_connection(self._engine, self.place) as connection:
            rows = connection.execute(select(baselines.c.name, baselines.c.run).order_by(baselines.c.name))
            return {name: run for name, run in rows}

    def problems(self) -> list[str]:
        """Return the problems of the database, one line each."""
        lines = []
        with read_connection(self._engine, self.place) as connection:
            if self._engine.dialect.name == "sqlite":
                lines += [
                    line
                    for line in connection.execute(text("PRAGMA integrity_check")).scalars()
                    if line != "ok"
                ]
                orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
                lines += [f"table {row[0]} row {row[1]} refers to a missing row" for row in orphans]
            query = (
                select(measurements, runs.c.imported_from, *(samples.c[name] for name in CHANNELS))
                .outerjoin(samples)
                .outerjoin(runs)
            )
            for row in connection.execute(query).mappings():
                lines += [f"row {row['id']}: {problem}" for problem in row_problems(dict(row))]
        return lines


def _insert(connection: Connection, run: str, rows: Iterable[Measurement]) -> None:
    for row in rows:
        values = to_row(row) | {"run": run, "case_id": row.case.id, "reason": storable(row.reason)}
        key = connection.execute(insert(measurements).values(values)).inserted_primary_key
        if row.time is not None and len(row.time.samples) and key is not None:
            blobs = {name: pack(getattr(row.time.samples, name)) for name in CHANNELS}
            connection.execute(insert(samples).values(measurement=key[0], **blobs))


def _new_id(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _is_latest() -> ColumnElement[bool]:
    """Return the condition that a row is the last one of its run, implementation and case."""
    later = measurements.alias("later")
    return ~(
        select(later.c.id)
        .where(
            later.c.run == measurements.c.run,
            later.c.implementation == measurements.c.implementation,
            later.c.case_id == measurements.c.case_id,
            later.c.id > measurements.c.id,
        )
        .exists()
    )
