"""Capacity: the largest value of an axis, as T, that an implementation can do before it is out of memory."""

from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.core.measurement import Cause, Status


@dataclass(frozen=True)
class Capacity:
    """How far an implementation gets along the axis of a panel.

    Attributes:
        implementation: Its full name.
        largest: The largest value at which it was ok before it was out of memory; None if it never was ok
            there.
        refused: The smallest value at which it was out of memory, or was skipped because it was predicted to
            be; None if there is none, so that `largest` is a bound from below only.
        reason: Why it was refused there; empty if it was not.
    """

    implementation: str
    largest: int | None
    refused: int | None
    reason: str


def refuses(status: str, cause: str | None) -> bool:
    """Return whether a row was out of memory, or was skipped because it was predicted to be."""
    return status == Status.OOM or cause == Cause.PREDICTED_MEMORY


def capacities(panel: Panel) -> tuple[Capacity, ...]:
    """Return how far each implementation gets before it is out of memory; those never tried are left out."""
    found = []
    rows = panel.rows[panel.rows["status"] != Status.UNSUPPORTED]
    for name, part in rows.sort_values(panel.axis).groupby("implementation"):
        out = part[list(map(refuses, part["status"], part["cause"]))]
        refused = int(out[panel.axis].iloc[0]) if len(out) else None
        ok = part.loc[part["status"] == Status.OK, panel.axis]
        reached = ok if refused is None else ok[ok < refused]
        found.append(
            Capacity(
                str(name),
                int(reached.max()) if len(reached) else None,
                refused,
                str(out["reason"].iloc[0]) if len(out) else "",
            )
        )
    return tuple(found)
