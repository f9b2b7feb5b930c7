"""Pareto: the rows of a table that no other row dominates."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def pareto_front(rows: pd.DataFrame, costs: Sequence[str] = ("median_s", "rel_l2")) -> pd.DataFrame:
    """Return the Pareto front: the rows that no other row dominates.

    A row dominates another if it is at least as good in every cost and better in one. A row with a missing or
    non-finite cost, such as a failure, is not in the front and dominates none. Rows with equal costs are
    either all in the front or none is. The rows should be comparable: those of one panel at one value of its
    axis.

    Args:
        rows: The table.
        costs: Columns in which less is better.
    """
    values = rows[list(costs)].to_numpy("float64", na_value=np.nan)
    return rows.iloc[front(values)].sort_values(list(costs))


def front(costs: npt.NDArray[np.float64]) -> list[int]:
    """Return the indices of the points that no other point dominates; see `pareto_front`.

    Args:
        costs: One row per point and one column per cost; less is better. Points with a non-finite cost are
            ignored.
    """
    finite = np.isfinite(costs).all(axis=1)
    candidates = costs[finite]
    return [
        int(index)
        for index in np.flatnonzero(finite)
        if not ((candidates <= costs[index]).all(axis=1) & (candidates < costs[index]).any(axis=1)).any()
    ]
