"""Decision: slower, faster, the same or undecided, in a group-sequential test or over many cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from linbench.statistics.paired import (
    ALPHA,
    LEAST_EFFECT,
    Paired,
    interval,
    minimum_detectable_effect,
    sign_flip,
)

LOOKS: Final = (10, 14, 20, 28)
SAME: Final = 0.015
SCREEN: Final = 8
SCREEN_P: Final = 0.10
SCREEN_EFFECT: Final = 0.015
CONFIRM: Final = 24
FALSE_DISCOVERIES: Final = 0.05


class Answer(StrEnum):
    """The result of comparing B with A; undecided never counts as a pass."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Decision:
    """The comparison of B with A over several processes.

    Attributes:
        answer: Slower, faster, same or undecided.
        effect: Relative difference in time: 0.02 means that B is 2% slower.
        low: Low end of its 95% confidence interval.
        high: High end of that interval.
        p: P-value of the weighted sign-flip test.
        processes: Number of processes.
        minimum_detectable_effect: The smallest relative effect that this number of such processes detects as
            slower or faster with a power of 95%; None where they are too few for any decision.
    """

    answer: Answer
    effect: float
    low: float
    high: float
    p: float
    processes: int
    minimum_detectable_effect: float | None


def judge(pairs: Sequence[Paired], alpha: float = ALPHA) -> Decision:
    """Return the decision at one look; `undecided` before the last look means that more processes are needed.

    Slower or faster: p is at most alpha, and the effect at least 1%. Same: the interval is within +-1.5%.
    Fewer than 8 processes decide nothing. Looks at 10, 14, 20 and 28 processes with alpha = .0025 each have a
    false-positive rate of at most 1% on identical code; more looks would increase it.
    """
    p = sign_flip(pairs)
    effect, low, high = interval(pairs)
    answer = Answer.UNDECIDED
    if len(pairs) >= SCREEN:
        if p <= alpha and abs(effect) >= LEAST_EFFECT:
            answer = Answer.SLOWER if effect > 0 else Answer.FASTER
        elif low > -SAME and high < SAME:
            answer = Answer.SAME
    return Decision(answer, effect, low, high, p, len(pairs), minimum_detectable_effect(pairs, alpha))


def worth_confirming(pairs: Sequence[Paired]) -> bool:
    """Return whether a case that was screened with 8 processes needs a new measurement with 24."""
    return sign_flip(pairs) < SCREEN_P or abs(interval(pairs)[0]) > SCREEN_EFFECT


def judge_all(cases: Sequence[Sequence[Paired]]) -> list[Decision]:
    """Return the decision for each case of a confirmation, with a false discovery rate of at most 5%.

    Benjamini and Hochberg's procedure: with m cases, alpha is 5% r / m for the largest rank r whose p-value
    is at most that, and 5% / m if there is none.
    """
    from scipy.stats import false_discovery_control

    if not cases:
        return []
    adjusted = false_discovery_control([sign_flip(pairs) for pairs in cases])
    rejected = int((adjusted <= FALSE_DISCOVERIES).sum())
    alpha = FALSE_DISCOVERIES * max(rejected, 1) / len(cases)
    return [judge(pairs, alpha) for pairs in cases]
