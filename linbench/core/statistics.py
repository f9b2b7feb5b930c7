"""Statistics of samples: the median and a 95% interval for it that assumes no distribution."""

import math
from collections.abc import Sequence


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the ends of an interval that covers the true median with at least this confidence.

    The ends are two order statistics: with r the largest rank such that P(Binomial(n, 1/2) < r) <=
    (1 - confidence) / 2, they are the r-th smallest and the r-th largest sample. With so few samples that no
    rank will do (n < 6 at 95%) they are the smallest and the largest, which cover the median with
    confidence 1 - 2^(1-n) only.

    Raises:
        ValueError: There is no sample.
    """
    if not samples:
        raise ValueError("an interval needs at least one sample")
    ordered = sorted(samples)
    n = len(ordered)
    tail = (1 - confidence) / 2
    rank = 0
    below = 0.0
    log_half_n = n * math.log(0.5)
    while rank < n // 2:
        log_choose = math.lgamma(n + 1) - math.lgamma(rank + 1) - math.lgamma(n - rank + 1)
        below += math.exp(log_choose + log_half_n)
        if below > tail:
            break
        rank += 1
    index = max(rank - 1, 0)
    return ordered[index], ordered[n - 1 - index]
