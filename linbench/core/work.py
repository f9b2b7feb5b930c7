"""Work: the operations and bytes that a call requires, to compare its time with."""

import math
from dataclasses import asdict, dataclass

from linbench.core.bounds import Bytes, Magnitude


@dataclass(frozen=True)
class Work:
    """The least work of one call, and the work of its algorithm.

    Attributes:
        useful_flops: Floating-point operations of the cheapest exact form of the operator.
        algorithmic_flops: Operations of the implementation's algorithm, useful or not; None where it does
            not declare them.
        fewest_bytes: Bytes of every input, read once, and of every output, written once.

    Raises:
        ValueError: A count is negative or not finite.
    """

    useful_flops: Magnitude
    algorithmic_flops: Magnitude | None
    fewest_bytes: Bytes

    def __post_init__(self) -> None:
        for name, count in asdict(self).items():
            if count is not None and not 0 <= count < math.inf:
                raise ValueError(f"{name} is {count}; a count must be finite and not negative")
