"""Speed of light: the share of a machine's ceilings that a measurement reached, and its rates."""

import pandas as pd

from linbench.core.measurement import Status


def speed_of_light(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the interval of each timed row's share of the speed of light, and its rates.

    share = bound / time, the column `share` of the table. The bound is the longer of the time to compute the
    useful operations and the time to move the fewest bytes at the machine's ceilings (`linbench.core.roof`).
    The 95% interval of the share is the bound over that of the time; it excludes the error of the ceilings. A
    share above 1 means that a ceiling or the amount of work is wrong.

    The frame has the index of the rows with a time and an amount of work. Its columns are share_low and
    share_high (NaN without measured ceilings), useful_flops_per_s, algorithmic_flops_per_s (NaN if not
    declared) and bytes_per_s, all over the median time; `rows.join` accepts it.

    Args:
        rows: The table.
    """
    ok = (rows["status"] == Status.OK) & (rows["median_s"] > 0) & rows["useful_flops"].notna()
    timed_rows = rows[ok]
    return pd.DataFrame(
        {
            "share_low": timed_rows["bound_s"] / timed_rows["ci_high_s"],
            "share_high": timed_rows["bound_s"] / timed_rows["ci_low_s"],
            "useful_flops_per_s": timed_rows["useful_flops"] / timed_rows["median_s"],
            "algorithmic_flops_per_s": timed_rows["algorithmic_flops"] / timed_rows["median_s"],
            "bytes_per_s": timed_rows["fewest_bytes"].astype("float64") / timed_rows["median_s"],
        },
        index=timed_rows.index,
    )
