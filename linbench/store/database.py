"""Database: opens, creates and migrates a store, and turns its errors into one-line messages."""

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
LOG_INDEX_BYTES = 64 << 10  # SQLite needs 32 KiB in addition to the log itself
FILE_FAILED = ("disk I/O error", "unable to open database file")
MIGRATION_LOCK = 0x6C696E62
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(place: str, *, write: bool) -> Engine:
    """Return an engine on an existing store with the current schema.

    Args:
        place: Path of a SQLite file, or a URL such as postgresql+psycopg://user@host/name.
        write: Create the store if it is missing; otherwise it must exist. An old one is migrated either way.

    Raises:
        StoreError: The store cannot be opened, is not a store of linbench, or has a newer schema.
    """
    with translate_errors(hide_password(place)):
        engine = _server(place) if "://" in place else _file(Path(place), write)
        _bring_up_to_date(engine, place, write)
        return engine


@contextmanager
def translate_errors(place: str) -> Iterator[None]:
    """Turn the exceptions of a database into a StoreError with one line about this store."""
    try:
        yield
    except (ArgumentError, NoSuchModuleError):
        raise StoreError(
            f"--db {place}: not a database URL; write one like postgresql+psycopg://user@host/name"
        ) from None
    except ModuleNotFoundError as error:
        raise StoreError(f"--db {place}: needs {error.name}; pip install 'linbench[postgres]'") from None
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        line = " ".join(str(cause).split())
        raise StoreError(f"database {place}: {_explanation(line, place)}") from None
    except ValueError as error:  # invalid JSON
        raise StoreError(f"database {place}: damaged: {error}; see `linbench db check`") from None
    except SQLAlchemyError as error:
        raise StoreError(f"database {place}: {' '.join(str(error).split())}") from None


_EXPLANATIONS = {
    "file is not a database": "not a SQLite file; name another with --db",
    "database disk image is malformed": "damaged; export what can be read, and continue in another with --db",
    "attempt to write a readonly database": "cannot be written; name another with --db",
    "unable to open database file": "cannot be opened or written; name another with --db",
    "database is locked": "locked by another process for 30 s; try again, or name another with --db",
    "database or disk is full": "the disk is full; free some space, then --resume",
    "disk I/O error": "cannot be read or written: disk I/O error; check the disk, then --resume",
    "FOREIGN KEY constraint failed": "no longer contains this run; restore it, or start a new run",
}


def _explanation(line: str, place: str) -> str:
    """Return the explanation of an error; on a full disk, SQLite may report only that a file failed."""
    if line in FILE_FAILED:
        with suppress(OSError):
            if shutil.disk_usage(Path(place).parent).free < LOG_INDEX_BYTES:
                line = "database or disk is full"
    return _EXPLANATIONS.get(line, line)


@contextmanager
def transaction(engine: Engine, place: str) -> Iterator[Connection]:
    """Yield a connection in a transaction that is committed completely or not at all."""
    with (
        translate_errors(place),
        engine.connect().execution_options(immediate=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def read_connection(engine: Engine, place: str) -> Iterator[Connection]:
    """Yield a connection for reading."""
    with translate_errors(place), engine.connect() as connection:
        yield connection


def hide_password(place: str) -> str:
    """Return a path or URL without a password, for display and storage."""
    if "://" not in place:
        return place
    try:
        return make_url(place).render_as_string(hide_password=True)
    except ArgumentError:
        return place.partition("://")[0] + "://..."


def _server(url: str) -> Engine:
    if make_url(url).get_backend_name() not in ("postgresql", "sqlite"):
        raise StoreError(
            f"--db {hide_password(url)}: expected a path, or a URL like postgresql+psycopg://user@host/name"
        )
    return create_engine(make_url(url), poolclass=NullPool, json_serializer=_strict)


def _strict(value: object) -> str:
    """Return JSON that every database accepts: without NaN and Infinity, which rows do not contain."""
    return json.dumps(value, allow_nan=False)


def _file(path: Path, write: bool) -> Engine:
    if path.is_dir():
        raise StoreError(f"--db {path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise StoreError(f"--db {path}: is not a regular file; name another")
    if not write and not path.exists():
        raise StoreError(f"there is no database {path}; `linbench run` creates it, or name another with --db")
    if write:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch()
        except OSError as error:
            raise StoreError(f"--db {path}: cannot be created: {error.strerror}") from None
    target = f"file:{_quoted(path)}?mode={'rw' if write else 'ro'}"
    journal = path.with_name(path.name + "-wal")
    if not write and not os.access(path.parent, os.W_OK) and not journal.exists():
        target += "&immutable=1"  # no process writes there, and the index of the log cannot be created

    def connect() -> sqlite3.Connection:
        if not path.exists():
            raise StoreError(f"database {path}: was removed during the run; restore it, or start a new run")
        connection = sqlite3.connect(target, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    # One connection per transaction: an open connection would continue to write to a removed file.
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
        revision = None
        if "alembic_version" in tables:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision == REVISION and set(metadata.tables) <= tables:
        _check_columns(engine, place)
        return
    if revision is None and tables:
        raise StoreError(
            f"database {hide_password(place)}: holds other tables and none of linbench; "
            "name another with --db"
        )
    if revision is not None and not (MIGRATIONS / "versions" / f"v{revision}.py").exists():
        raise StoreError(
            f"database {hide_password(place)}: has schema {revision}; this linbench supports schemas up to "
            f"{REVISION}; upgrade linbench"
        )
    if not write and revision is None:
        raise StoreError(f"database {hide_password(place)}: is empty; `linbench run` fills it")
    if write:
        _migrate(engine)
        return
    try:
        open_engine(place, write=True)
    except StoreError as error:
        raise StoreError(
            f"{error}; it has schema {revision} and can be read only after migration to {REVISION}"
        ) from None


def _check_columns(engine: Engine, place: str) -> None:
    """Raise StoreError for a store from another state of this unreleased schema."""
    for table in metadata.sorted_tables:
        columns = {column["name"] for column in inspect(engine).get_columns(table.name)}
        different = columns ^ set(table.columns.keys())
        if different:
            raise StoreError(
                f"database {hide_password(place)}: was created by a pre-release version with other columns "
                f"({min(different)}); export from it with that version, and name another with --db"
            )


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # rebuilding a table would otherwise delete its children
            _pragma(connection, "foreign_keys = OFF")
        with immediate_transaction(connection):
            if engine.dialect.name == "postgresql":  # concurrent creation of the same tables would fail
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
        if engine.dialect.name == "sqlite":
            _pragma(connection, "foreign_keys = ON")


@contextmanager
def immediate_transaction(connection: Connection) -> Iterator[None]:
    """Hold a write transaction on an open connection."""
    connection.execution_options(immediate=True)
    with connection.begin():
        yield


def _pragma(connection: Connection, setting: str) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA {setting}")
