"""Store: writes runs and reads them back."""

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
from linbench.store.database import explained, open_engine, reading, shown, transaction
from linbench.store.row import channels, pack, storable
from linbench.store.row import problems as row_problems
from linbench.store.schema import baselines, measurements, runs, samples

HEAD_COLUMNS = ("id", "created_at", "finished_at", "environment", "plan", "imported_from")
MOST_NAME = 64
CASE = tuple(column.name for column in columns_of("case"))
BEGUN = (runs.c.number, runs.c.created_at, runs.c.id)


@dataclass(frozen=True)
class RunSummary:
    """A run in a list of runs.

    Attributes:
        id: The run's.
        created_at: When it began.
        finished_at: When it ended, or None.
        grid: Name of its grid.
        device: cpu or cuda.
        statuses: How many rows of each status it has.
        imported_from: Name of the file that it was read from; None if it was measured here.
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
    """What a run found of an implementation at a case, once.

    Attributes:
        run: Its id.
        created_at: When it began.
        environment: The machine, its libraries and the code.
        implementation: Full name of the implementation.
        case: Where it was measured.
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
    """A database of runs; rows are added and never changed.

    Where an implementation was measured twice at a case in one run, the later row counts.
    """

    def __init__(self, place: str, *, write: bool = False) -> None:
        """Open the store.

        Raises:
            StoreError: It cannot be opened.
        """
        self.place = shown(place)
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
        """Add rows to a run, all in one transaction; when it returns they are on the disk."""
        with transaction(self._engine, self.place) as connection:
            _insert(connection, run, rows)

    def add(self, run: Run) -> bool:
        """Add a whole run that came from elsewhere; return False if the very same is stored already.

        It stands before the runs that were measured here, so that "latest" is one of those.

        Raises:
            UsageError: Another run is stored under its id; nothing was changed.
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
                f"a run {run.id} is stored in {self.place} already and differs; nothing was imported: "
                "name another database with --db"
            )
        return new

    def finish(self, run: str) -> None:
        """Note that a run came to its end."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with transaction(self._engine, self.place) as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(finished_at=now))

    def summaries(self) -> list[RunSummary]:
        """Return every run, the one begun last first."""
        counted: dict[str, dict[str, int]] = {}
        per_status = select(measurements.c.run, measurements.c.status, func.count()).where(_is_latest())
        with reading(self._engine, self.place) as connection:
            for run, status, count in connection.execute(per_status.group_by("run", "status")):
                counted.setdefault(run, {})[status] = count
            found = connection.execute(select(runs).order_by(*(column.desc() for column in BEGUN))).all()
        return [
            RunSummary(
                row.id,
                row.created_at,
                row.finished_at,
                row.plan["grid"]["name"],
                row.plan["device"],
                counted.get(row.id, {}),
                row.imported_from,
            )
            for row in found
        ]

    def find(self, name: str) -> str:
        """Return the id of the run that a name means: "latest", an id, or the start of just one id.

        "latest" is the run begun last, whatever the clock said.

        Raises:
            UsageError: It means none, or several.
        """
        with reading(self._engine, self.place) as connection:
            known: list[str] = list(connection.execute(select(runs.c.id).order_by(*BEGUN)).scalars())
        if not known:
            raise UsageError(f"database {self.place} holds no run yet; `linbench run` makes one")
        if name == "latest":
            return known[-1]
        matches = [run for run in known if run.startswith(name)] if name else []
        if name in matches:
            return name
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(
                f"run {name!r} means {len(matches)} runs: {', '.join(matches[:5])}; type more of it"
            )
        raise UsageError(f"unknown run {name!r}; `linbench list runs` names them, and latest is {known[-1]}")

    def run(self, name: str, *, with_samples: bool = False) -> Run:
        """Return a run with its rows.

        Args:
            name: As `find` takes it.
            with_samples: Read the samples too.

        Raises:
            UsageError: There is no such run.
        """
        run = self.find(name)
        query = (
            select(measurements).where(measurements.c.run == run, _is_latest()).order_by(measurements.c.id)
        )
        with reading(self._engine, self.place) as connection:
            head = connection.execute(select(runs).where(runs.c.id == run)).one()
            rows = connection.execute(query).mappings().all()
            taken: dict[int, dict[str, list[float]]] = {}
            if with_samples:
                wanted = select(samples).join(measurements).where(measurements.c.run == run)
                for blobs in connection.execute(wanted).mappings():
                    taken[blobs["measurement"]] = channels(dict(blobs))
        with explained(self.place):
            environment, plan = decode(Environment, head.environment), decode(Plan, head.plan)
        found = []
        for row in rows:
            try:
                found.append(from_row(dict(row), taken.get(row["id"])))
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
            tuple(found),
            head.imported_from,
        )

    def history(self, implementation: str | None = None, case: str | None = None) -> list[HistoryPoint]:
        """Return every row with a time and a calibration time, in the order in which the runs began.

        Args:
            implementation: Of this one alone; of all if not given.
            case: At the cases whose ids begin so; at all if not given.
        """
        conditions = []
        if implementation is not None:
            conditions.append(measurements.c.implementation == implementation)
        if case is not None:
            conditions.append(measurements.c.case_id.startswith(case, autoescape=True))
        return self._history_points(*conditions)

    def history_of(self, run: str) -> list[HistoryPoint]:
        """Return the same of every implementation and case that a run measured."""
        its = measurements.alias("its")
        return self._history_points(
            select(its.c.id)
            .where(
                its.c.run == run,
                its.c.implementation == measurements.c.implementation,
                its.c.case_id == measurements.c.case_id,
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
            .order_by(*BEGUN, measurements.c.id)
        )
        with reading(self._engine, self.place) as connection:
            rows = connection.execute(query).mappings().all()
            heads = select(runs.c.id, runs.c.created_at, runs.c.environment)
            begun = {head.id: head for head in connection.execute(heads)} if rows else {}
            environments = {run: decode(Environment, head.environment) for run, head in begun.items()}
        return [
            HistoryPoint(
                row["run"],
                begun[row["run"]].created_at,
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
        """Give a run a name, taken from the run that had it, and return the run's id.

        Args:
            name: At most 64 characters.
            run: As `find` takes it.

        Raises:
            UsageError: There is no such run, or the name is empty or too long.
        """
        if not name.strip() or len(name) > MOST_NAME:
            raise UsageError(f"baseline {name!r}: a name has 1 to {MOST_NAME} characters")
        found = self.find(run)
        with transaction(self._engine, self.place) as connection:
            connection.execute(delete(baselines).where(baselines.c.name == name))
            connection.execute(insert(baselines).values(name=name, run=found))
        return found

    def remove_baseline(self, name: str) -> None:
        """Take a name from its run.

        Raises:
            UsageError: No run has it.
        """
        known = self.baselines()
        if name not in known:
            raise unknown("baseline", name, known)
        with transaction(self._engine, self.place) as connection:
            connection.execute(delete(baselines).where(baselines.c.name == name))

    def baselines(self) -> dict[str, str]:
        """Return the run of each name."""
        with reading(self._engine, self.place) as connection:
            found = connection.execute(select(baselines.c.name, baselines.c.run).order_by(baselines.c.name))
            return {name: run for name, run in found}

    def problems(self) -> list[str]:
        """Return what is wrong with the database, one line each; none if all is well."""
        found = []
        with reading(self._engine, self.place) as connection:
            if self._engine.dialect.name == "sqlite":
                found += [
                    line
                    for line in connection.execute(text("PRAGMA integrity_check")).scalars()
                    if line != "ok"
                ]
                orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
                found += [f"table {row[0]} row {row[1]} belongs to nothing" for row in orphans]
            joined = (
                select(measurements, runs.c.imported_from, *(samples.c[name] for name in CHANNELS))
                .outerjoin(samples)
                .outerjoin(runs)
            )
            for row in connection.execute(joined).mappings():
                found += [f"row {row['id']}: {problem}" for problem in row_problems(dict(row))]
        return found


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
    """Return the condition that a row is the last of its run, implementation and case."""
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
