"""Pareto: the rows of a table that no other beats in everything that counts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def pareto_front(rows: pd.DataFrame, costs: Sequence[str] = ("median_s", "rel_l2")) -> pd.DataFrame:
    """Return the rows that no other row is as good as in every cost and better than in one.

    Rows of which a cost is missing or not finite, as those of failures are, neither stand in the front nor
    beat any. Rows with equal costs stand or fall together. Compare like with like: give the rows of one
    panel at one value of its axis.

    Args:
        rows: The table.
        costs: Columns of which less is better.
    """
    values = rows[list(costs)].to_numpy("float64", na_value=np.nan)
    kept = rows.iloc[front(values)]
    return kept.sort_values(list(costs))


def front(costs: npt.NDArray[np.float64]) -> list[int]:
    """Return the places of the points that no other is as good as in every cost and better than in one.

    Args:
        costs: A line a point, a column a cost, of which less is better. A point with one that is not finite
            counts as none.
    """
    finite = np.isfinite(costs).all(axis=1)
    every = costs[finite]
    return [
        int(place)
        for place in np.flatnonzero(finite)
        if not ((every <= costs[place]).all(axis=1) & (every < costs[place]).any(axis=1)).any()
    ]
