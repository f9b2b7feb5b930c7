"""Database: opens a store, makes it or brings it up to date, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from linbench.core.errors import StoreError
from linbench.store.schema import REVISION, metadata

BUSY_TIMEOUT_MS = 30_000
LOG_INDEX_BYTES = 64 << 10  # SQLite needs 32 KiB beside the log itself
FILE_FAILED = ("disk I/O error", "unable to open database file")
MIGRATION_LOCK = 0x6C696E62
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(place: str, *, write: bool) -> Engine:
    """Return an engine on a store that is there and up to date.

    Args:
        place: Path of a SQLite file, or a URL as in postgresql+psycopg://user@host/name.
        write: Make the store if it is not there; otherwise it must exist. An old one is migrated either way.

    Raises:
        StoreError: It cannot be opened, is no store of linbench, or is of a newer one.
    """
    with explained(shown(place)):
        engine = _server(place) if "://" in place else _file(Path(place), write)
        _bring_up_to_date(engine, place, write)
        return engine


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what a database raises into one line about this store."""
    try:
        yield
    except (ArgumentError, NoSuchModuleError):
        raise StoreError(
            f"--db {place}: not a URL of a database; write one like postgresql+psycopg://user@host/name"
        ) from None
    except ModuleNotFoundError as error:
        raise StoreError(f"--db {place}: needs {error.name}; pip install 'linbench[postgres]'") from None
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        line = " ".join(str(cause).split())
        raise StoreError(f"database {place}: {_meaning(line, place)}") from None
    except ValueError as error:  # a text that should be JSON
        raise StoreError(f"database {place}: damaged: {error}; see `linbench db check`") from None
    except SQLAlchemyError as error:
        raise StoreError(f"database {place}: {' '.join(str(error).split())}") from None


_MEANING = {
    "file is not a database": "not a SQLite file; name another with --db",
    "database disk image is malformed": "damaged; export what can be read, and go on in another with --db",
    "attempt to write a readonly database": "cannot be written; name another with --db",
    "unable to open database file": "cannot be opened or written there; name another with --db",
    "database is locked": "held by another process for 30 s; try again, or name another with --db",
    "database or disk is full": "the disk is full; free some room, then --resume",
    "disk I/O error": "cannot be read or written there: disk I/O error; see to the disk, then --resume",
    "FOREIGN KEY constraint failed": "holds no such run any more; put back the one that did, or run anew",
}


def _meaning(line: str, place: str) -> str:
    """Return what to make of an error; on a full disk SQLite may say no more than that a file failed."""
    if line in FILE_FAILED:
        with suppress(OSError):
            if shutil.disk_usage(Path(place).parent).free < LOG_INDEX_BYTES:
                line = "database or disk is full"
    return _MEANING.get(line, line)


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


def shown(place: str) -> str:
    """Return a path or URL as it may be shown and stored: without a password."""
    if "://" not in place:
        return place
    try:
        return make_url(place).render_as_string(hide_password=True)
    except ArgumentError:
        return place.partition("://")[0] + "://..."


def _server(url: str) -> Engine:
    if make_url(url).get_backend_name() not in ("postgresql", "sqlite"):
        raise StoreError(
            f"--db {shown(url)}: takes a path, or a URL like postgresql+psycopg://user@host/name"
        )
    return create_engine(make_url(url), poolclass=NullPool, json_serializer=_strict)


def _strict(value: object) -> str:
    """Return JSON as every database takes it: without NaN and Infinity, which no row may hold."""
    return json.dumps(value, allow_nan=False)


def _file(path: Path, write: bool) -> Engine:
    if path.is_dir():
        raise StoreError(f"--db {path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise StoreError(f"--db {path}: is no regular file; name another")
    if not write and not path.exists():
        raise StoreError(f"there is no database {path}; `linbench run` makes it, --db names another")
    if write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch()
        except OSError as error:
            raise StoreError(f"--db {path}: cannot be made: {error.strerror}") from None
    target = f"file:{_quoted(path)}?mode={'rw' if write else 'ro'}"
    journal = path.with_name(path.name + "-wal")
    if not write and not os.access(path.parent, os.W_OK) and not journal.exists():
        target += "&immutable=1"  # nobody writes there, and the index of the log cannot be made

    def connect() -> sqlite3.Connection:
        if not path.exists():
            raise StoreError(f"database {path}: was removed meanwhile; put it back, or run anew")
        connection = sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    # A connection a transaction: one kept open would go on writing to a file that was removed.
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, json_serializer=_strict)

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
    if found == REVISION and set(metadata.tables) <= tables:
        _check_columns(engine, place)
        return
    if found is None and tables:
        raise StoreError(
            f"database {shown(place)}: holds other tables and none of linbench; name another with --db"
        )
    if found is not None and not (MIGRATIONS / "versions" / f"v{found}.py").exists():
        raise StoreError(
            f"database {shown(place)}: of schema {found}; this linbench knows up to {REVISION}; upgrade it"
        )
    if not write and found is None:
        raise StoreError(f"database {shown(place)}: is empty; `linbench run` fills it")
    if write:
        _migrate(engine)
        return
    try:
        open_engine(place, write=True)
    except StoreError as error:
        raise StoreError(
            f"{error}; it is of schema {found}, and read only once brought to {REVISION}"
        ) from None


def _check_columns(engine: Engine, place: str) -> None:
    """Refuse a store that another state of this unreleased schema has made."""
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in inspect(engine).get_columns(table.name)}
        other = columns ^ set(table.columns.keys())
        if other:
            raise StoreError(
                f"database {shown(place)}: was made before a release, with other columns ({min(other)}); "
                "export from it with the linbench that made it, and name another with --db"
            )


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # a rebuilt table would otherwise take its children with it
            _pragma(connection, "foreign_keys = OFF")
        with transaction_on(connection):
            if engine.dialect.name == "postgresql":  # two that make the same tables at once would clash
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
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
