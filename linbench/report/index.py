"""Index: a page that lists the reports of a folder, from what each says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from linbench.report import html
from linbench.report.summary import Summary

NAME: Final = "index.html"
HEAD_CHARACTERS: Final = 16384


@dataclass(frozen=True)
class Entry(Summary):
    """A report, as it speaks of itself.

    Attributes:
        file: Its name in the folder.
    """

    file: str


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
            said = {field.name: str(record[field.name]) for field in fields(Summary)}
            found.append(Entry(**said, file=path.name))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda entry: (entry.created_at, entry.file), reverse=True)


def render_index(found: Iterable[Entry]) -> str:
    """Return the index as one HTML page without a script."""
    return html.template("index.html.j2").render(entries=list(found), css=html.asset("page.css"))
