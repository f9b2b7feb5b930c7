"""Importing: a file of linbench JSON lines becomes a stored run, or nothing changes."""

from __future__ import annotations

from pathlib import Path

from linbench.core.errors import UsageError
from linbench.core.run import Run
from linbench.store.exchange import jsonl, untrusted
from linbench.store.store import Store


def read(path: Path) -> Run:
    """Return the run that a file contains.

    Raises:
        UsageError: The file is not in the format linbench JSON lines, or is invalid; the message names the
            position.
    """
    text = untrusted.read_text(path)
    if not text.strip():
        raise UsageError(f"{path}: is empty")
    first, _, _ = text.partition("\n")
    try:
        head = untrusted.parse(first, f"{path}: line 1")
    except UsageError:
        if first.lstrip().startswith('{"linbench"'):
            raise
        head = None
    if not jsonl.is_head(head):
        raise UsageError(
            f"{path}: is not linbench JSON lines, the only format that can be imported (its first line has "
            "the key linbench); `linbench export --to jsonl` writes it"
        )
    return jsonl.read(text, str(path), path.name)


def add(run: Run, db: str) -> bool:
    """Add a run to a store, which is created if necessary; return False if the run is already stored.

    Raises:
        UsageError: A different run with the same id is stored.
        StoreError: The store cannot be written.
    """
    return Store(db, write=True).add(run)
