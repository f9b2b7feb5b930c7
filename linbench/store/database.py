"""Database: opens a store, makes it or brings it up to date, and says in one line what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from linbench.core.errors import StoreError
from linbench.store.schema import REVISION

BUSY_TIMEOUT_MS = 30_000
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(place: str, *, write: bool) -> Engine:
    """Return an engine on a store that is there and up to date.

    Args:
        place: Path of a SQLite file, or a URL as in postgresql+psycopg://user@host/name.
        write: Make the store if it is not there, and migrate it if it is old. Otherwise it must exist.

    Raises:
        StoreError: It cannot be opened, is no store of linbench, or is of a newer one.
    """
    with explained(place):
        engine = _server(place) if "://" in place else _file(Path(place), write)
        _bring_up_to_date(engine, place, write)
        return engine


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what a database raises into one line about this store."""
    try:
        yield
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"--db {place}: not a URL of a database: {error}") from None
    except ModuleNotFoundError as error:
        raise StoreError(f"--db {place}: needs {error.name}; pip install 'linbench[postgres]'") from None
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        line = " ".join(str(cause).split())
        raise StoreError(f"database {place}: {_MEANING.get(line, line)}") from None
    except SQLAlchemyError as error:
        raise StoreError(f"database {place}: {' '.join(str(error).split())}") from None


_MEANING = {
    "file is not a database": "not a SQLite file; name another with --db",
    "database disk image is malformed": "damaged; export what can be read, and go on in another with --db",
    "attempt to write a readonly database": "cannot be written; name another with --db",
    "unable to open database file": "cannot be opened or written there; name another with --db",
    "database is locked": "held by another process for 30 s; try again, or name another with --db",
    "database or disk is full": "the disk is full; free some room, then --resume",
}


@contextmanager
def transaction(engine: Engine, place: str) -> Iterator[Connection]:
    """Give a connection in a transaction that is written whole or not at all."""
    with (
        explained(place),
        engine.connect().execution_options(immediate=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def reading(engine: Engine, place: str) -> Iterator[Connection]:
    """Give a connection to read from."""
    with explained(place), engine.connect() as connection:
        yield connection


def _server(url: str) -> Engine:
    return create_engine(make_url(url))


def _file(path: Path, write: bool) -> Engine:
    if path.is_dir():
        raise StoreError(f"--db {path}: is a folder; name a file in it")
    if not write and not path.exists():
        raise StoreError(f"there is no database {path}; `linbench run` makes it, --db names another")
    if write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"--db {path}: its folder cannot be made: {error.strerror}") from None
    target = f"file:{_quoted(path)}?mode={'rwc' if write else 'ro'}"
    journal = path.with_name(path.name + "-wal")
    if not write and not os.access(path.parent, os.W_OK) and not journal.exists():
        target += "&immutable=1"  # nobody writes there, and the index of the log cannot be made

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))


def _bring_up_to_date(engine: Engine, place: str, write: bool) -> None:
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        found = None
        if "alembic_version" in tables:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found == REVISION and {"runs", "measurements", "samples"} <= tables:
        return
    if found is None and tables:
        raise StoreError(f"database {place}: holds other tables and none of linbench; name another with --db")
    if found is not None and not (MIGRATIONS / "versions" / f"v{found}.py").exists():
        raise StoreError(
            f"database {place}: of schema {found}; this linbench knows up to {REVISION}; upgrade linbench"
        )
    if not write and found is None:
        raise StoreError(f"database {place}: is empty; `linbench run` fills it")
    _migrate(engine)


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # a rebuilt table would otherwise take its children with it
            _pragma(connection, "foreign_keys = OFF")
        with transaction_on(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
        if engine.dialect.name == "sqlite":
            _pragma(connection, "foreign_keys = ON")


@contextmanager
def transaction_on(connection: Connection) -> Iterator[None]:
    """Hold a writing transaction on an open connection."""
    connection.execution_options(immediate=True)
    with connection.begin():
        yield


def _pragma(connection: Connection, words: str) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA {words}")
