"""Roofline: what a page is told of a machine's ceilings, and of each row's work under them."""

from __future__ import annotations

from typing import Any, Final

from linbench.core.measurement import Measurement
from linbench.core.roof import Roofs, bound_of, roofs_of
from linbench.core.run import Run

COLUMNS: Final = ("useful", "algorithmic", "fewest", "bound", "limit")
"""What a row has here: operations, useful and the algorithm's; bytes; the least time; what bounds it."""


def roofs_of_run(run: Run) -> Roofs:
    """Return the roofs under which a run has timed rows with their work; none if there were no ceilings."""
    roofs = roofs_of(run.environment.ceilings.entries)
    kinds = {(row.case.device, row.case.dtype) for row in run.measurements if row.time and row.work}
    return {kind: roof for kind, roof in roofs.items() if kind in kinds}


def cells(row: Measurement, roofs: Roofs) -> list[Any]:
    """Return what a row has, in the order of `COLUMNS`; what is not known is None."""
    work, bound = row.work, bound_of(roofs, row.case, row.work)
    return [
        *((work.useful_flops, work.algorithmic_flops, work.fewest_bytes) if work else (None, None, None)),
        *((float(f"{bound.seconds:.9g}"), bound.limit) if bound else (None, None)),
    ]


def drawn(roofs: Roofs) -> dict[str, Any]:
    """Return the roofs as plain data, by device and type as in "cpu float32"."""
    return {
        f"{device} {dtype}": {
            "flops": roof.flops_per_s,
            "levels": [[level.name, level.holds_bytes, level.bytes_per_s] for level in roof.levels],
        }
        for (device, dtype), roof in roofs.items()
    }


def unmeasured(run: Run) -> str:
    """Return the device of timed rows on which no ceilings had been measured; empty if there is none."""
    roofs = roofs_of(run.environment.ceilings.entries)
    timed = (row.case for row in run.measurements if row.time)
    return next((case.device for case in timed if (case.device, case.dtype) not in roofs), "")
