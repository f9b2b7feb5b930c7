"""Stored: two runs compared row by row, which can raise a suspicion but proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from linbench.compare.change import is_clock
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Measurement
from linbench.core.run import Run
from linbench.statistics.paired import LEAST_EFFECT


@dataclass(frozen=True)
class Suspicion:
    """Comparison of two stored rows of one implementation at one case.

    Attributes:
        a: Row of the first run.
        b: Row of the second run.
        effect: Relative time difference of B to A; None if one has no time.
        low: Lower bound of the effect that the rows' intervals allow.
        high: Upper bound of it.
    """

    a: Measurement
    b: Measurement
    effect: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def suspect(self) -> bool:
        """Whether times differ by at least 1% and their intervals do not overlap, or the statuses differ."""
        if self.effect is None or self.low is None or self.high is None:
            return self.a.status is not self.b.status
        return abs(self.effect) >= LEAST_EFFECT and not self.low <= 0 <= self.high

    @property
    def answer(self) -> str:
        """`suspect`, or `no sign` of a change; two runs never prove a difference."""
        return "suspect" if self.suspect else "no sign"

    @property
    def mhz(self) -> tuple[float, float] | None:
        """Median GPU clock during the timing of A and of B, MHz; None if not read."""
        a, b = (row.telemetry.during.get("gpu_sm_mhz") for row in (self.a, self.b))
        return (a.middle, b.middle) if a and b else None

    @property
    def in_cycles(self) -> float | None:
        """Relative difference of B to A in GPU cycles; None if the clock or a time is missing."""
        if self.effect is None or self.mhz is None:
            return None
        a_mhz, b_mhz = self.mhz
        return (1 + self.effect) * b_mhz / a_mhz - 1

    @property
    def clock(self) -> bool:
        """Whether the times are suspect but the cycles are not: the GPU's clock was different."""
        if self.effect is None or self.in_cycles is None:
            return False
        return self.suspect and is_clock(self.effect, self.in_cycles)

    def to_json(self) -> dict[str, object]:
        """Return the suspicion as plain JSON data."""
        return {
            "implementation": self.b.implementation,
            "case": self.b.case.to_json(),
            "answer": self.answer,
            "status_a": str(self.a.status),
            "status_b": str(self.b.status),
            "effect": self.effect,
            "low": self.low,
            "high": self.high,
            "mhz_a": self.mhz[0] if self.mhz else None,
            "mhz_b": self.mhz[1] if self.mhz else None,
            "in_cycles": self.in_cycles,
            "clock": self.clock,
        }


def suspicions(a: Run, b: Run, *, force: bool = False) -> Iterator[Suspicion]:
    """Yield the comparison of each row of B with the row of A of the same implementation and case.

    Two runs are measured at different times, so identical code differs by more than the intervals suggest.

    Args:
        a: The first run.
        b: The second run.
        force: Compare the runs even if they come from different machines.

    Raises:
        EnvironmentRefused: The runs come from different processors, GPUs or drivers.
    """
    difference = machine_difference(a, b)
    if difference is not None and not force:
        raise EnvironmentRefused(
            f"run {a.id} was measured with {difference} in run {b.id}; such times are not comparable; "
            "use --force to compare them anyway"
        )
    rows_before = {(row.implementation, row.case.id): row for row in a.measurements}
    for row in b.measurements:
        before = rows_before.get((row.implementation, row.case.id))
        if before is not None:
            yield _suspicion(before, row)


def machine_difference(a: Run, b: Run) -> str | None:
    """Return how the machine of B differs from that of A in processor, cores, GPUs or driver, or None."""
    return a.environment.machine.difference(b.environment.machine)


def _suspicion(a: Measurement, b: Measurement) -> Suspicion:
    if a.time is None or b.time is None or a.time.timer != b.time.timer or a.time.ci_low_s <= 0:
        return Suspicion(a, b)
    return Suspicion(
        a,
        b,
        b.time.median_s / a.time.median_s - 1,
        b.time.ci_low_s / a.time.ci_high_s - 1,
        b.time.ci_high_s / a.time.ci_low_s - 1,
    )
