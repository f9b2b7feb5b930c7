"""Importing: a file of a form that is known becomes a run or a session, or nothing is changed."""

from __future__ import annotations

from pathlib import Path

from linbench.core.errors import UsageError
from linbench.core.run import Run
from linbench.store.exchange import jsonl, pytest_benchmark, untrusted
from linbench.store.sessions import Session, Sessions
from linbench.store.store import Store


def read(path: Path) -> Run | Session:
    """Return what a file holds; which form it is of is told from what it says.

    Raises:
        UsageError: It is of neither form, or not right; the line names the place.
    """
    text = untrusted.read_text(path)
    first, _, rest = text.partition("\n")
    if not text.strip():
        raise UsageError(f"{path}: is empty")
    try:
        head = untrusted.parse(first, f"{path}: line 1")
    except UsageError:
        if first.lstrip().startswith('{"linbench"') or not rest.strip():
            raise
        head = None  # the first line of a document of several
    if jsonl.is_head(head):
        return jsonl.read(text, str(path), path.name)
    lines = head is not None and rest.strip()
    data = head if head is not None else untrusted.parse(text, str(path), first_line=1)
    if lines or not pytest_benchmark.looks_like(data):
        raise UsageError(
            f"{path}: is neither linbench JSON lines (whose first line has the key linbench) nor JSON of "
            "pytest-benchmark"
        )
    return pytest_benchmark.session(data, str(path), path.name)


def add(found: Run | Session, db: str) -> bool:
    """Add what was read to a store, which is made if need be; return False if it is stored already.

    Raises:
        UsageError: Another run is stored under its id.
        StoreError: The store cannot be written.
    """
    if isinstance(found, Run):
        return Store(db, write=True).add(found)
    return Sessions(db, write=True).add(found)
