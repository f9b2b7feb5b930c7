"""CSV: one line per row, every status, axes as columns; no cell that a spreadsheet reads as a formula."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from linbench.core.run import Run
from linbench.store.table import frame
from linbench.text.spreadsheet import escape_formula

if TYPE_CHECKING:
    import pandas as pd

END: Final = "\r\n"  # a cell that contains either character is quoted


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run; only samples are omitted."""
    path.write_text("".join(records(frame([run]))), encoding="utf-8", newline="")
    return []


def records(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the header of a CSV file and its records, each with its line end.

    Args:
        rows: A frame from `linbench.store.table.frame`.
    """
    table = rows.copy()
    words = table.select_dtypes(exclude="number").columns
    table[words] = table[words].map(escape_formula)
    text = table.to_csv(index=False, lineterminator=END)
    complete, record = [], ""
    for line in text.split(END)[:-1]:
        record += line + END
        if record.count('"') % 2 == 0:  # otherwise the line ends inside a cell
            complete.append(record)
            record = ""
    return tuple(complete)
