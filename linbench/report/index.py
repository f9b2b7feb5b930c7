"""Index: a page that lists the reports of a folder, from what each says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from linbench.report import html

NAME: Final = "index.html"
HEAD_CHARACTERS: Final = 16384
FIELDS: Final = ("run", "title", "created_at", "tally", "machine", "command")


@dataclass(frozen=True)
class Entry:
    """A report, as it speaks of itself.

    Attributes:
        file: Its name in the folder.
        run: The id of its run.
        title: What was measured.
        created_at: When the run began, ISO 8601 in UTC.
        tally: How many rows ended how.
        machine: Where it ran.
        command: What makes the run again; empty if no command began it.
    """

    file: str
    run: str
    title: str
    created_at: str
    tally: str
    machine: str
    command: str


class _Head(HTMLParser):
    record = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "linbench-report":
            self.record = found.get("content") or ""


def entries(folder: Path) -> list[Entry]:
    """Return the reports of a folder, the latest run first; a page that is none of ours is left out."""
    found = []
    for path in folder.glob("*.html"):
        try:
            with path.open(encoding="utf-8") as file:
                head = _Head()
                head.feed(file.read(HEAD_CHARACTERS))
            record = json.loads(head.record or "{}")
            found.append(Entry(path.name, **{name: str(record[name]) for name in FIELDS}))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda entry: (entry.created_at, entry.file), reverse=True)


def render_index(found: Iterable[Entry]) -> str:
    """Return the index as one HTML page without a script."""
    return html.template("index.html.j2").render(entries=list(found), css=html.asset("page.css"))
