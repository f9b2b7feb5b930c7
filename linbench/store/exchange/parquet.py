"""Parquet: the columns of the CSV with their types."""

from __future__ import annotations

from pathlib import Path

from linbench.core.errors import UsageError
from linbench.core.run import Run
from linbench.store.table import frame


def write(run: Run, path: Path) -> list[str]:
    """Write the rows of a run; only samples are omitted.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        frame([run]).to_parquet(path, index=False)
    except ImportError:
        raise UsageError("--to parquet needs pyarrow; pip install 'linbench[parquet]'") from None
    return []
