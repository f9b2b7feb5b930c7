"""Pareto: the rows of a table that no other beats in everything that counts."""

from collections.abc import Sequence

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
    values = rows[list(costs)].astype("float64")
    values = values[(values.abs() < float("inf")).all(axis=1)]
    kept = [
        label
        for label, own in values.iterrows()
        if not ((values <= own).all(axis=1) & (values < own).any(axis=1)).any()
    ]
    return rows.loc[kept].sort_values(list(costs))
