"""Change: whether a quantity is another in B than in A, and whether a difference in time is one in cycles."""

from __future__ import annotations

import math

from linbench.statistics.paired import LEAST_EFFECT


def is_clock(effect: float, in_cycles: float) -> bool:
    """Return whether a difference in time is none in cycles of the clock: less than 1% the same way.

    Args:
        effect: How much longer B takes, relative.
        in_cycles: How many more cycles it takes, relative.
    """
    return in_cycles < LEAST_EFFECT if effect > 0 else in_cycles > -LEAST_EFFECT


def changed(a: float, b: float, rounding: float) -> bool:
    """Return whether a quantity that does not vary, bytes or an error, is another in B than in A.

    Args:
        a: In A.
        b: In B.
        rounding: What it may differ by without meaning anything, relative to the larger of the two.
    """
    if not math.isfinite(a) or not math.isfinite(b):
        return a != b and not (math.isnan(a) and math.isnan(b))
    return not abs(b - a) <= rounding * max(abs(a), abs(b))
