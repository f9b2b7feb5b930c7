"""Sensitivity: the smallest error of each operator that is called wrong, by data type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from linbench.core.case import Case
from linbench.core.measurement import Tolerance
from linbench.core.operator import Operator
from linbench.core.registry import Registry
from linbench.measure.rows import ZONES
from linbench.measure.tolerance import NoTolerance, tolerances

CASE = Case(1, 1000, 4, 64, 32, mode="fwd_bwd")
DTYPES = ("float32", "float16", "bfloat16")
MIDDLE = ZONES - 6  # the zone of tokens 255 to 499, of T = 1,000
LAST = 1  # that of the last token


@dataclass(frozen=True)
class Sensitivity:
    """The smallest relative errors that are called wrong.

    Attributes:
        operator: Name of the operator.
        dtype: Data type of the case.
        row: Of one row of the output, at a token in the middle.
        last_token: Of the output of the last token of one head.
        head: Of the scale of the output of one head.
        gradient_row: Of one row of any gradient, at a token in the middle; the least sensitive gradient.
        gradient_head: Of the scale of any gradient of one head; the least sensitive gradient.
        refused: Why no result can be judged; empty otherwise.
    """

    operator: str
    dtype: str
    row: float = 0.0
    last_token: float = 0.0
    head: float = 0.0
    gradient_row: float = 0.0
    gradient_head: float = 0.0
    refused: str = ""


def sensitivities(registry: Registry, device: str) -> Iterator[Sensitivity]:
    """Yield the sensitivity of every operator and data type, at B = 1, T = 1,000, H = 4, K = 64, V = 32."""
    for operator in registry.operators():
        for dtype in DTYPES:
            case = Case(CASE.B, CASE.T, CASE.H, CASE.K, CASE.V, dtype, CASE.mode, device)
            yield _sensitivity(operator, operator.complete(case))


def _sensitivity(operator: Operator, case: Case) -> Sensitivity:
    try:
        limits = tolerances(operator, case)
    except NoTolerance as error:
        return Sensitivity(operator.name, case.dtype, refused=str(error))
    output = limits.pop(operator.output.name)
    gradients = list(limits.values())
    return Sensitivity(
        operator.name,
        case.dtype,
        _row(output, MIDDLE),
        _row(output, LAST),
        output.head,
        max((_row(gradient, MIDDLE) for gradient in gradients), default=0.0),
        max((gradient.head for gradient in gradients), default=0.0),
    )


def _row(limits: Tolerance, zone: int) -> float:
    return limits.rows[zone] if len(limits.rows) > 1 else limits.rows[0]
