"""Index: a page that lists the reports of a folder, from the summary in each."""

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
    """A report, with its summary.

    Attributes:
        file: The file name of the report.
    """

    file: str


class _Head(HTMLParser):
    record = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "meta" and attributes.get("name") == "linbench-report":
            self.record = attributes.get("content") or ""


def entries(folder: Path) -> list[Entry]:
    """Return the reports of a folder, the latest run first; other pages are left out."""
    reports = []
    for path in folder.glob("*.html"):
        try:
            with path.open(encoding="utf-8") as file:
                head = _Head()
                head.feed(file.read(HEAD_CHARACTERS))
            record = json.loads(head.record or "{}")
            summary = {field.name: str(record[field.name]) for field in fields(Summary)}
            reports.append(Entry(**summary, file=path.name))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(reports, key=lambda entry: (entry.created_at, entry.file), reverse=True)


def render_index(reports: Iterable[Entry]) -> str:
    """Return the index as one HTML page without a script."""
    return html.template("index.html.j2").render(entries=list(reports), css=html.asset("page.css"))
