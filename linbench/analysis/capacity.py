"""Capacity: the largest value of an axis, such as T, at which an implementation fits in memory."""

from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.core.measurement import Cause, Status


@dataclass(frozen=True)
class Capacity:
    """The range of a panel's axis at which an implementation fits in memory.

    Attributes:
        implementation: Its full name.
        largest: The largest value with status ok below `refused`; None if there is none.
        refused: The smallest value at which it was out of memory, or was skipped because it was predicted to
            be; None if there is none, in which case `largest` is only a lower bound.
        reason: The reason of that row; empty if `refused` is None.
    """

    implementation: str
    largest: int | None
    refused: int | None
    reason: str


def is_out_of_memory(status: str, cause: str | None) -> bool:
    """Return whether a row was out of memory, or was skipped because it was predicted to be."""
    return status == Status.OOM or cause == Cause.PREDICTED_MEMORY


def capacities(panel: Panel) -> tuple[Capacity, ...]:
    """Return the capacity of each implementation; those that support no case of the panel are left out."""
    results = []
    rows = panel.rows[panel.rows["status"] != Status.UNSUPPORTED]
    for name, part in rows.sort_values(panel.axis).groupby("implementation"):
        failed_rows = part[list(map(is_out_of_memory, part["status"], part["cause"]))]
        refused = int(failed_rows[panel.axis].iloc[0]) if len(failed_rows) else None
        ok = part.loc[part["status"] == Status.OK, panel.axis]
        fitting = ok if refused is None else ok[ok < refused]
        results.append(
            Capacity(
                str(name),
                int(fitting.max()) if len(fitting) else None,
                refused,
                str(failed_rows["reason"].iloc[0]) if len(failed_rows) else "",
            )
        )
    return tuple(results)
