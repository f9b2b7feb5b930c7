"""Calibration op: a fixed operation, timed with every implementation, to compare runs over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from linbench.core.samples import Samples
from linbench.measure.hygiene import spoil
from linbench.measure.sampling import take_turn
from linbench.measure.timers import Timer

SIDE: Final = {"cpu": 256, "cuda": 1024}
DURATION_S: Final = 0.002
MOST_SAMPLES: Final = 8
WARM_CALLS: Final = 3


class CalibrationOp:
    """The product of two constant float32 matrices, [256, 256] on the CPU and [1024, 1024] on CUDA."""

    advances = False

    def __init__(self, device: str) -> None:
        """Create the matrices and warm up the product."""
        self.call_s = 0.0
        side = SIDE[device]
        self._left = torch.linspace(-1, 1, side * side, device=device).view(side, side).sin()
        self._right = self._left.cos()
        for _ in range(WARM_CALLS):
            self()

    def take(self, timer: Timer) -> Samples:
        """Return the samples of a few products, 2 ms or at least one: the current speed of the machine."""
        samples, _ = take_turn(self, timer, DURATION_S, MOST_SAMPLES, self.call_s)
        self.call_s = samples.time_s[-1]
        return samples

    @property
    def input_bytes(self) -> int:
        """Bytes of both matrices."""
        return 2 * self._left.nbytes

    def prepare(self) -> None:
        """Do nothing: a product does not change its factors."""

    def __call__(self) -> Tensor:
        """Return the product."""
        return self._left @ self._right

    def rotated(self, n: int) -> Sequence[CalibrationOp]:
        """Return n calibration ops, each with its own matrices."""
        return [CalibrationOp(self._left.device.type) for _ in range(n)]

    def spoil(self, returned: object) -> None:
        """Fill a product with NaN."""
        spoil(returned, (self._left, self._right))
