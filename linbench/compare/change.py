"""Change: whether a quantity differs between A and B, and whether the GPU clock explains a change in time."""

from __future__ import annotations

import math

from linbench.statistics.paired import LEAST_EFFECT


def is_clock(effect: float, in_cycles: float) -> bool:
    """Return whether a time difference is not one in clock cycles: less than 1% in the same direction.

    Args:
        effect: Relative time difference of B to A.
        in_cycles: Relative difference in cycles.
    """
    return in_cycles < LEAST_EFFECT if effect > 0 else in_cycles > -LEAST_EFFECT


def has_changed(a: float, b: float, rounding: float) -> bool:
    """Return whether a quantity without noise, such as bytes or an error, differs between A and B.

    Args:
        a: Value in A.
        b: Value in B.
        rounding: Difference that counts as rounding, relative to the larger of the two.
    """
    if not math.isfinite(a) or not math.isfinite(b):
        return a != b and not (math.isnan(a) and math.isnan(b))
    return not abs(b - a) <= rounding * max(abs(a), abs(b))
