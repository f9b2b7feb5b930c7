"""Ceilings: the highest rates measured on this machine, stored next to the database for later runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from linbench.core.ceiling import Ceiling, Ceilings
from linbench.core.codec import decode_text, encode
from linbench.core.environment import NO_CEILINGS, Machine, this_machine
from linbench.core.errors import StoreError, UsageError
from linbench.store import DEFAULT_DB

FILE = "ceilings.json"


@dataclass(frozen=True)
class StoredCeilings:
    """Ceilings and the machine on which they were measured."""

    machine: Machine
    ceilings: Ceilings


def save_ceilings(entries: Sequence[Ceiling], db: str) -> Path:
    """Write the ceilings of this machine next to a database, replacing earlier ones, and return the file.

    Raises:
        StoreError: The file cannot be written.
    """
    path = _path(db)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    stored = StoredCeilings(this_machine(), Ceilings(measured_at, tuple(entries)))
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(encode(stored), indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def load_ceilings(db: str) -> Ceilings:
    """Return the ceilings next to a database; without entries if there are none for this machine.

    Raises:
        UsageError: The file is damaged.
    """
    path = _path(db)
    try:
        stored = decode_text(StoredCeilings, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return NO_CEILINGS
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read: {error}; `linbench doctor --ceilings` writes it again"
        ) from None
    return stored.ceilings if stored.machine == this_machine() else NO_CEILINGS


def _path(db: str) -> Path:
    return (Path(DEFAULT_DB) if "://" in db else Path(db)).parent / FILE
