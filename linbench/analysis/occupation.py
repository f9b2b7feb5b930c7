"""Occupation: the share of the duration of a call during which the machine worked on it."""

import pandas as pd

from linbench.core.measurement import Status


def occupation(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of launch gaps in the time of each timed row, and the number of busy cores.

    On CUDA, gaps = 1 - kernels / median: the share of the time from the start of a call's first kernel to the
    end of its last during which no kernel ran, for timers that record the sum of the kernel times (cupti). It
    is at least 0, although the times of overlapping kernels may add up to more. On the CPU,
    busy_cores = cpu / median: processor time of the process over wall time; a call with 1.9 of 2 cores busy
    hardly waits. Both are ratios of medians.

    The frame has the index of the timed rows, and the columns gaps and busy_cores, each NaN where the timer
    did not record it.

    Args:
        rows: The table.
    """
    timed_rows = rows[(rows["status"] == Status.OK) & (rows["median_s"] > 0)]
    is_cuda = timed_rows["device"] == "cuda"
    gaps = (1 - timed_rows["kernels_median_s"] / timed_rows["median_s"]).clip(lower=0)
    return pd.DataFrame(
        {
            "gaps": gaps.where(is_cuda),
            "busy_cores": (timed_rows["cpu_median_s"] / timed_rows["median_s"]).where(~is_cuda),
        },
        index=timed_rows.index,
    )
