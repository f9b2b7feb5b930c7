"""Looks: slower, faster, the same or undecided, at a few looks at more processes each, or of many cases."""

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
    """What can be said of B against A; undecided is never a pass."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Decision:
    """What several processes say of B against A.

    Attributes:
        answer: Slower, faster, same or undecided.
        effect: How much longer B takes, relative: 0.02 is 2% slower.
        low: Low end of its 95% interval.
        high: High end of it.
        p: Of the weighted sign-flip test.
        processes: How many processes there were.
        minimum_detectable_effect: The least effect that as many such processes call slower or faster with a
            power of 95%, relative; None where so few can decide nothing.
    """

    answer: Answer
    effect: float
    low: float
    high: float
    p: float
    processes: int
    minimum_detectable_effect: float | None


def judge(pairs: Sequence[Paired], alpha: float = ALPHA) -> Decision:
    """Return the verdict at one look; `undecided` before the last look means that more processes are due.

    Slower or faster: p is at most alpha, and the effect at least 1%. Same: the interval lies inside +-1.5%.
    Fewer than 8 processes answer nothing. Looking at 10, 14, 20 and 28 processes with .0025 each calls
    identical code different in 1% of cases at most; looking oftener would do so more.
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
    """Return whether a case that was screened with 8 processes is to be measured afresh with 24."""
    return sign_flip(pairs) < SCREEN_P or abs(interval(pairs)[0]) > SCREEN_EFFECT


def confirmed(cases: Sequence[Sequence[Paired]]) -> list[Decision]:
    """Return the verdict of each case that was measured afresh, at most 5% of those called different falsely.

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
