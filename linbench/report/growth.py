"""Growth: how times grow along an axis against what the operator claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.analysis.scaling import Scaling, claimed_exponent, scaling
from linbench.text.format import count

EXPONENT_OF_A_STEP = 1.0
"""What one token of decoding costs less than a sequence: a power of T."""


@dataclass(frozen=True)
class Growth:
    """How the time of one implementation grows along the axis of a panel.

    Attributes:
        implementation: Its full name.
        exponent: p in time = c x^p with its 95% interval, as text; why there is none, if there is none.
        fitted: The values of the axis that were fitted, as text; empty if none were.
        claim: What the operator claims of the time, as T^1; empty if it is not known.
        broken: One sentence, where the time grows faster than claimed; otherwise empty.
    """

    implementation: str
    exponent: str
    fitted: str
    claim: str
    broken: str


def growths(panel: Panel, complexities: Mapping[str, str]) -> list[Growth]:
    """Return how the time of each timed implementation of a panel grows.

    Args:
        panel: The panel.
        complexities: By operator, the time in T of its cheapest exact form, as in O(T).
    """
    operators = dict(zip(panel.rows["implementation"], panel.rows["operator"], strict=True))
    found = []
    for name, times in sorted(panel.series.items()):
        complexity = complexities.get(operators[name], "")
        claim = _claim(panel, complexity)
        claimed = "" if claim is None else f"T^{claim:g}"
        fit = scaling(name, times)
        if fit is None:
            few = len(times) < 3
            found.append(Growth(name, "too few values" if few else "no power law", "", claimed, ""))
            continue
        fitted = f"{count(fit.first)} to {count(fit.last)} ({fit.points} values)"
        broken = ""
        if claim is not None and fit.contradicts(claim):
            what = f"a step of decoding under {complexity}" if _is_step(panel) else complexity
            broken = (
                f"{name} grows as {panel.axis}^{_interval(fit)} from {panel.axis} = {count(fit.first)} to "
                f"{count(fit.last)}: {operators[name]} can be had in {what}."
            )
        found.append(Growth(name, _interval(fit), fitted, claimed, broken))
    return found


def _claim(panel: Panel, complexity: str) -> float | None:
    """Return the exponent that an operator claims along the axis of a panel, or None."""
    exponent = claimed_exponent(complexity) if panel.axis == "T" else None
    if exponent is None or not _is_step(panel):
        return exponent
    return max(0.0, exponent - EXPONENT_OF_A_STEP)


def _is_step(panel: Panel) -> bool:
    return panel.settings["mode"] == "decode"


def _interval(fit: Scaling) -> str:
    return f"{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]"
