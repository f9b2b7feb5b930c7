"""Occupation: how much of a call's time the machine worked on it."""

import pandas as pd

from linbench.core.measurement import Status


def occupation(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what of each timed row's time was spent waiting, and how many cores it kept busy.

    On CUDA gaps = 1 - kernels / median: the share of the time from a call's first kernel to the end of its
    last in which none ran, by the timer that tells the sum of the kernels' times (cupti); at least 0, as
    kernels that overlap may add up to more. On the CPU busy_cores = cpu / median: processor time of the
    process over wall time; 1.9 of 2 is a call that hardly waits. Both are of medians.

    The frame has the index of the timed rows, and the columns gaps and busy_cores, each NaN where the timer
    did not tell.

    Args:
        rows: The table.
    """
    timed = rows[(rows["status"] == Status.OK) & (rows["median_s"] > 0)]
    is_cuda = timed["device"] == "cuda"
    gaps = (1 - timed["kernels_median_s"] / timed["median_s"]).clip(lower=0)
    return pd.DataFrame(
        {
            "gaps": gaps.where(is_cuda),
            "busy_cores": (timed["cpu_median_s"] / timed["median_s"]).where(~is_cuda),
        },
        index=timed.index,
    )
