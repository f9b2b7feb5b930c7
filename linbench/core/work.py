"""Work: what a call has to do, by which its time is judged."""

import math
from dataclasses import asdict, dataclass

from linbench.core.bounds import Bytes, Magnitude


@dataclass(frozen=True)
class Work:
    """What one call has to do at the least, and what its algorithm does.

    Attributes:
        useful_flops: Floating-point operations of the cheapest exact form of the operator.
        algorithmic_flops: Operations of the implementation's algorithm, useful or not; None where it does
            not declare them.
        fewest_bytes: Every input read once and every output written once.

    Raises:
        ValueError: A count is negative or not finite.
    """

    useful_flops: Magnitude
    algorithmic_flops: Magnitude | None
    fewest_bytes: Bytes

    def __post_init__(self) -> None:
        for name, count in asdict(self).items():
            if count is not None and not 0 <= count < math.inf:
                raise ValueError(f"{name} is {count}, where a count is finite and not negative")
