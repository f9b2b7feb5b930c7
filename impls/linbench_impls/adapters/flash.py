"""flash-attn: its versions, and what they take."""

from __future__ import annotations

from linbench import Case, needs
from linbench.core.implementation import WhyNot

LIBRARIES = {"flash-attn-2": ("flash_attn", (8, 0)), "flash-attn-3": ("flash_attn_interface", (9, 0))}
"""Module and least compute capability of each version."""


def why_not_of(module: str, capability: tuple[int, int]) -> WhyNot:
    """Return the rule of a flash-attn: K = V, in multiples of 8 up to 256, half types."""
    rule = needs(
        device="cuda",
        modules=(module,),
        dtypes=("float16", "bfloat16"),
        multiple_of={"K": 8},
        at_most={"K": 256},
        capability=capability,
    )

    def why_not(case: Case) -> str | None:
        reason = rule(case)
        if reason is None and case.K != case.V:
            return f"takes K = V, not K = {case.K} and V = {case.V}"
        return reason

    return why_not
