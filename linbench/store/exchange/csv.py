"""CSV: a row a line, every status, axes as columns; no cell that a spreadsheet would take for a formula."""

from __future__ import annotations

from pathlib import Path

from linbench.core.run import Run
from linbench.store.table import frame
from linbench.text.spreadsheet import harmless


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run; nothing but samples is left out."""
    table = frame([run])
    words = table.select_dtypes(exclude="number").columns
    table[words] = table[words].map(harmless)
    table.to_csv(path, index=False, lineterminator="\r\n")  # so that a cell with either in it is quoted
    return []
