"""Growth: the growth of times along an axis, compared with the claim of the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from linbench.analysis.panel import Panel
from linbench.analysis.scaling import Scaling, claimed_exponent, scaling
from linbench.text.format import count

EXPONENT_OF_A_STEP = 1.0
"""The power of T by which one decode step is cheaper than a whole sequence."""


@dataclass(frozen=True)
class Growth:
    """The growth of the time of one implementation along the axis of a panel.

    Attributes:
        implementation: Its full name.
        exponent: p in time = c x^p with its 95% interval, as text; the reason if there is none.
        fitted: The values of the axis in the fit, as text; empty without a fit.
        claim: The growth that the operator claims, such as T^1; empty if unknown.
        broken: One sentence if the time grows faster than claimed; otherwise empty.
    """

    implementation: str
    exponent: str
    fitted: str
    claim: str
    broken: str


def growths(panel: Panel, complexities: Mapping[str, str]) -> list[Growth]:
    """Return the growth of the time of each timed implementation of a panel.

    Args:
        panel: The panel.
        complexities: The complexity in T of the cheapest exact form of each operator, such as O(T).
    """
    operators = dict(zip(panel.rows["implementation"], panel.rows["operator"], strict=True))
    results = []
    for name, times in sorted(panel.series.items()):
        complexity = complexities.get(operators[name], "")
        claim = _claim(panel, complexity)
        claim_exponent = "" if claim is None else f"T^{claim:g}"
        fit = scaling(name, times)
        if fit is None:
            few = len(times) < 3
            results.append(Growth(name, "too few values" if few else "no power law", "", claim_exponent, ""))
            continue
        fitted = f"{count(fit.first)} to {count(fit.last)} ({fit.points} values)"
        broken = ""
        if claim is not None and fit.contradicts(claim):
            claim_text = f"{complexity}, so T^{claim:g} per decode step" if _is_step(panel) else complexity
            broken = (
                f"The time of {name} grows as {panel.axis}^{_interval(fit)} "
                f"from {panel.axis} = {count(fit.first)} to {count(fit.last)}, "
                f"but {operators[name]} claims {claim_text}."
            )
        results.append(Growth(name, _interval(fit), fitted, claim_exponent, broken))
    return results


def _claim(panel: Panel, complexity: str) -> float | None:
    """Return the exponent that an operator claims along the axis of a panel, or None if unknown."""
    exponent = claimed_exponent(complexity) if panel.axis == "T" else None
    if exponent is None or not _is_step(panel):
        return exponent
    return max(0.0, exponent - EXPONENT_OF_A_STEP)


def _is_step(panel: Panel) -> bool:
    return panel.settings["mode"] == "decode"


def _interval(fit: Scaling) -> str:
    return f"{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]"
