"""Stored: two runs compared row by row, which can raise a suspicion and prove nothing."""

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
    """What two stored rows of one implementation at one case say of the second.

    Attributes:
        a: The first run's row.
        b: The second run's.
        effect: How much longer B takes, relative; None where one has no time.
        low: Low end of what the rows' intervals allow, relative.
        high: High end of it.
    """

    a: Measurement
    b: Measurement
    effect: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def suspect(self) -> bool:
        """Whether times differ by 1% at least and their intervals do not overlap, or the statuses differ."""
        if self.effect is None or self.low is None or self.high is None:
            return self.a.status is not self.b.status
        return abs(self.effect) >= LEAST_EFFECT and not self.low <= 0 <= self.high

    @property
    def answer(self) -> str:
        """`suspect`, or that there is no sign of a change; times apart are never proof."""
        return "suspect" if self.suspect else "no sign"

    @property
    def mhz(self) -> tuple[float, float] | None:
        """Clock of the GPU while A was timed and while B was, in the median, MHz; None if not read."""
        a, b = (row.telemetry.during.get("gpu_sm_mhz") for row in (self.a, self.b))
        return (a.middle, b.middle) if a and b else None

    @property
    def in_cycles(self) -> float | None:
        """How many more cycles of the GPU B takes, relative; None where its clock or a time is missing."""
        if self.effect is None or self.mhz is None:
            return None
        a_mhz, b_mhz = self.mhz
        return (1 + self.effect) * b_mhz / a_mhz - 1

    @property
    def clock(self) -> bool:
        """Whether times are suspect and cycles are not: the GPU's clock was another."""
        if self.effect is None or self.in_cycles is None:
            return False
        return self.suspect and is_clock(self.effect, self.in_cycles)

    def to_json(self) -> dict[str, object]:
        """Return it as plain JSON data."""
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
    """Yield what each row of B says beside the row of A of the same implementation, case and timer.

    Processes of two runs met other minutes, and identical code differs by more than their intervals say.

    Args:
        a: The first run.
        b: The second.
        force: Compare them though they come from different machines.

    Raises:
        EnvironmentRefused: They come from different processors, GPUs or drivers.
    """
    other = other_machine(a, b)
    if other is not None and not force:
        raise EnvironmentRefused(
            f"run {a.id} was measured with {other} in run {b.id}; such times do not compare; "
            "--force compares them all the same"
        )
    known = {(row.implementation, row.case.id): row for row in a.measurements}
    for row in b.measurements:
        before = known.get((row.implementation, row.case.id))
        if before is not None:
            yield _suspicion(before, row)


def other_machine(a: Run, b: Run) -> str | None:
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
