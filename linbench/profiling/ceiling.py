"""Ceilings: the most that this machine was seen to do, kept beside the database for the runs that follow."""

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
    """Ceilings, and the machine whose they are."""

    machine: Machine
    ceilings: Ceilings


def keep(entries: Sequence[Ceiling], db: str) -> Path:
    """Write ceilings of this machine beside a database, in place of those of before, and return the file.

    Raises:
        StoreError: It cannot be written.
    """
    path = _path(db)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    kept = StoredCeilings(this_machine(), Ceilings(measured_at, tuple(entries)))
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(encode(kept), indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def kept(db: str) -> Ceilings:
    """Return the ceilings beside a database; without entries if there are none, or of another machine.

    Raises:
        UsageError: The file is damaged.
    """
    path = _path(db)
    try:
        found = decode_text(StoredCeilings, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return NO_CEILINGS
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read: {error}; `linbench doctor --ceilings` makes it anew"
        ) from None
    return found.ceilings if found.machine == this_machine() else NO_CEILINGS


def _path(db: str) -> Path:
    return (Path(DEFAULT_DB) if "://" in db else Path(db)).parent / FILE
