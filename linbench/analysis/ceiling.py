"""Ceiling: how much of what a machine can do at most a measurement reached."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from linbench.core.case import AXES, Case
from linbench.core.measurement import Status
from linbench.core.operator import Cost


@dataclass(frozen=True)
class Ceiling:
    """What a machine does at most.

    Attributes:
        flops_per_s: Floating-point operations a second.
        bytes_per_s: Bytes moved from and to memory a second.
    """

    flops_per_s: float
    bytes_per_s: float

    def bound_s(self, cost: Cost) -> float:
        """Return the least time, seconds: the longer of computing and of moving what the cost names."""
        return max(cost.flops / self.flops_per_s, cost.bytes / self.bytes_per_s)

    def limit(self, cost: Cost) -> str:
        """Return which of the two bounds the time: compute or memory."""
        return "compute" if cost.flops / self.flops_per_s >= cost.bytes / self.bytes_per_s else "memory"


def speed_of_light(rows: pd.DataFrame, cost: Callable[[str, Case], Cost], ceiling: Ceiling) -> pd.DataFrame:
    """Return the share of the speed of light that each timed row reached, with a 95% interval.

    share = bound / median, where the bound is that of the cheapest exact form of the operator; its interval
    is that of the time turned over. The frame has the index of the rows, and bound_s, limit, share,
    share_low and share_high. A share above 1 says that the ceiling or the cost is wrong.

    Args:
        rows: The table.
        cost: The cost of an operator at a case: `lambda name, case: registry.operator(name).cost(case)`.
        ceiling: What the machine does at most, at the dtype of the rows.
    """
    timed = rows[(rows["status"] == Status.OK) & (rows["median_s"] > 0)]
    costs = [cost(row["operator"], _case(row)) for _, row in timed.iterrows()]
    bounds = pd.Series([ceiling.bound_s(one) for one in costs], index=timed.index, dtype="float64")
    return pd.DataFrame(
        {
            "bound_s": bounds,
            "limit": [ceiling.limit(one) for one in costs],
            "share": bounds / timed["median_s"],
            "share_low": bounds / timed["ci_high_s"],
            "share_high": bounds / timed["ci_low_s"],
        },
        index=timed.index,
    )


def _case(row: pd.Series) -> Case:
    shape = {axis: int(row[axis]) for axis in AXES}
    return Case(
        **shape,
        dtype=row["dtype"],
        mode=row["mode"],
        device=row["device"],
        options=json.loads(row["options"]),
        seed=int(row["seed"]),
    )
