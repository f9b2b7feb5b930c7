"""Ceilings: the most that this machine was seen to do, kept beside the database for the runs that follow."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linbench.core.ceiling import Ceiling
from linbench.core.environment import cpu_name, gpus
from linbench.core.errors import StoreError, UsageError
from linbench.store import DEFAULT_DB

FILE = "ceilings.json"


def keep(found: Sequence[Ceiling], db: str) -> Path:
    """Write ceilings beside a database, in place of those of before, and return the file.

    Raises:
        StoreError: It cannot be written.
    """
    path = _path(db)
    kept = {
        "machine": _machine(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "ceilings": [asdict(one) for one in found],
    }
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def kept(db: str) -> dict[str, Any]:
    """Return {"ceilings": ...} for a run's environment, or nothing if none are beside the database.

    Those of another machine are left out.

    Raises:
        UsageError: The file is damaged.
    """
    path = _path(db)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["machine"] != _machine():
            return {}
        return {"ceilings": {"measured_at": found["measured_at"], "found": found["ceilings"]}}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: cannot be read: {error}; `linbench doctor --ceilings` makes it anew"
        ) from None


def _path(db: str) -> Path:
    return (Path(DEFAULT_DB) if "://" in db else Path(db)).parent / FILE


def _machine() -> dict[str, Any]:
    """Return what must be the same for a ceiling to hold."""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": [gpu["name"] for gpu in gpus()],
    }
