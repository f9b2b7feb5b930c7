"""CSV: a row a line, every status, axes as columns; no cell that a spreadsheet would take for a formula."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from linbench.core.run import Run
from linbench.store.table import frame
from linbench.text.spreadsheet import escape_formula

if TYPE_CHECKING:
    import pandas as pd

END: Final = "\r\n"  # so that a cell with either in it is quoted


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run; nothing but samples is left out."""
    path.write_text("".join(records(frame([run]))), encoding="utf-8", newline="")
    return []


def records(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the head of a CSV file and its records, each with its end.

    Args:
        rows: A frame as `linbench.store.table.frame` makes it.
    """
    table = rows.copy()
    words = table.select_dtypes(exclude="number").columns
    table[words] = table[words].map(escape_formula)
    text = table.to_csv(index=False, lineterminator=END)
    found, record = [], ""
    for line in text.split(END)[:-1]:
        record += line + END
        if record.count('"') % 2 == 0:  # otherwise the line ends within a cell
            found.append(record)
            record = ""
    return tuple(found)
