"""Speed of light: what of a machine's ceilings a measurement reached, and the rates that it did."""

import pandas as pd

from linbench.core.measurement import Status


def speed_of_light(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the interval of each timed row's share of the speed of light, and its rates.

    share = bound / time, where the bound is the longer of computing the useful operations and of moving the
    fewest bytes at the machine's ceilings (`linbench.core.roof`); the column `share` of the table has it. Its
    95% interval is that of the time turned over; what the ceilings may be off is not in it. A share above 1
    says that a ceiling or the work is wrong.

    The frame has the index of the rows that were timed and carry their work, and share_low and share_high
    (NaN where no ceilings were measured), useful_flops_per_s, algorithmic_flops_per_s (NaN where none are
    declared) and bytes_per_s, all over the median time; `rows.join` takes it.

    Args:
        rows: The table.
    """
    ok = (rows["status"] == Status.OK) & (rows["median_s"] > 0) & rows["useful_flops"].notna()
    timed = rows[ok]
    return pd.DataFrame(
        {
            "share_low": timed["bound_s"] / timed["ci_high_s"],
            "share_high": timed["bound_s"] / timed["ci_low_s"],
            "useful_flops_per_s": timed["useful_flops"] / timed["median_s"],
            "algorithmic_flops_per_s": timed["algorithmic_flops"] / timed["median_s"],
            "bytes_per_s": timed["fewest_bytes"].astype("float64") / timed["median_s"],
        },
        index=timed.index,
    )
