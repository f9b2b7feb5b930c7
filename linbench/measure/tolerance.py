"""Tolerance: the largest errors of a correct result, from the errors of the plain form in the same dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from linbench.core.case import Case
from linbench.core.measurement import Tolerance
from linbench.core.operator import Operator
from linbench.core.tensor import TensorSpec
from linbench.measure.accuracy import errors, row_errors

PLAIN_TOKENS = 2048
PLAIN_ROWS = 4096
LEAST_ROWS = 512
FACTOR = {"float64": 4.0, "float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
RUNNING_SUM = 2.0**-26
ROW_FACTOR = {"float64": 8.0, "float32": 8.0, "float16": 3.0, "bfloat16": 3.0}
RUNNING_ROW = 24.0
HEAD_SPACINGS = 16.0
SPACING = {"float64": 1e-13, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
MAX_TOLERANCE = 0.1
"""Beyond this relative L2 error, a result says too little to be called correct."""

UNLIMITED = Tolerance(math.inf, (math.inf,), math.inf)
EXACT = Tolerance(0.0, (0.0,), 1e-12)  # the scale of a head is a quotient of float64 sums


class NoTolerance(Exception):
    """The plain form is so far from the reference that no result can be judged; the message is one line."""


def tolerances(operator: Operator, case: Case) -> dict[str, Tolerance]:
    """Return the largest errors of each tensor of a correct result at a case.

    Three errors have a limit each: the relative L2 error of the whole tensor, that of any row, and the
    relative error of the scale of any head. With e, r and s the errors of the operator's plain form,
    computed in the case's dtype on the inputs of the case (T at most `PLAIN_TOKENS`, about `PLAIN_ROWS`
    rows in all) and on `LEAST_ROWS` rows of more sequences, the limits are

        f (e g + c) + u        h (r g m + 24 c) + u        f (s g + c) + u min(1, 16 / n^(1/2))

    f is 2 and h is 3 in half types; in wider ones, where errors vary more from form to form, they are 4 and
    8. u is the spacing of the dtype at 1: an error that the plain form happens to avoid, for example where
    it does not round, is not a fault (in float64 the plain form may be the reference itself, and u is
    1e-13). A state that decode advances is float32 in every dtype: its u is that of float32, or in half
    types u / T^(1/2), since an operand of the one new token may be rounded. c = 2^-26 (T + K + V)^(1/2) is
    the expected error of a running sum of so many positive terms in float32, which a recurrent form has and
    the plain form may not. g = max(1, T / `PLAIN_TOKENS`)^(1/2) is the growth of a rounding error with the
    number of terms; in half types g is 1, since sums are accumulated in float32.

    r is the largest error in the zone of the row's token (`linbench.measure.rows`) and its neighbours:
    gradients of the first tokens may cancel, those of the last have few terms. m grows with the logarithm
    of the number of rows, of which r is a maximum; n is the number of elements of a head, over which
    rounding errors cancel.

    A cache holds copies of inputs, which are exact. Where the plain form overflows, the operator's
    `tolerance` applies.

    Raises:
        NoTolerance: A limit of the whole tensor would exceed `MAX_TOLERANCE`.
    """
    plain: dict[str, PlainError] = {}
    for plain_case in _plain_cases(operator, case):
        for name, error in _plain_errors(operator, plain_case).items():
            plain[name] = error.join(plain[name]) if name in plain else error
    copies = {spec.name for spec in operator.state if spec.is_copy}
    limits = {}
    for name, error in plain.items():
        if name in copies:
            limits[name] = EXACT
            continue
        limits[name] = _tolerance(operator, case, name, error)
        if limits[name].rel_l2 > MAX_TOLERANCE:
            raise NoTolerance(
                f"cannot be checked in {case.dtype}: {name} of the plain form is off by {error.rel_l2:.2g} "
                f"here, and a tolerance is at most {MAX_TOLERANCE}; use a wider dtype or smaller inputs"
            )
    return limits


@dataclass(frozen=True)
class PlainError:
    """The errors of one tensor of the plain form.

    Attributes:
        rel_l2: Of the whole tensor.
        rows: Of any row, by zone.
        head: Of the scale of any head.
        is_finite: Whether every element is finite.
        count: Number of tokens of all heads and sequences.
    """

    rel_l2: float
    rows: tuple[float, ...]
    head: float
    is_finite: bool
    count: int

    def join(self, other: PlainError) -> PlainError:
        """Return the larger of both errors each."""
        return PlainError(
            max(self.rel_l2, other.rel_l2),
            tuple(map(max, self.rows, other.rows)),
            max(self.head, other.head),
            self.is_finite and other.is_finite,
            max(self.count, other.count),
        )


def _plain_cases(operator: Operator, case: Case) -> list[Case]:
    """Return the cases at which the plain form is computed: the start of this one, and more sequences of it.

    A maximum over few rows says little; at the case itself the inputs are those of the call.
    """
    tokens = min(case.T, PLAIN_TOKENS)
    call_tokens = operator.call_tokens(replace(case, T=tokens))
    heads = min(case.H, max(1, PLAIN_ROWS // call_tokens))
    most = max(1, PLAIN_ROWS // (call_tokens * heads))
    small = replace(case, B=min(case.B, most), T=tokens, H=heads)
    wide = replace(small, B=min(most, max(small.B, math.ceil(LEAST_ROWS / (call_tokens * heads)))))
    if wide.B == small.B or operator.unsupported_reason(wide) is not None:
        return [small]
    return [small, wide]


def _plain_errors(operator: Operator, case: Case) -> dict[str, PlainError]:
    """Return the errors of the plain form at a case."""
    inputs = operator.generate(case, torch.Generator(device=case.device).manual_seed(case.seed))
    expected = operator.expected(case, inputs)
    results, axes = operator.plain_results(case, inputs), operator.result_axes
    tensor_errors = errors(results, expected, dict.fromkeys(expected, UNLIMITED), axes)
    count = case.B * case.H * operator.call_tokens(case)
    plain = {}
    for name, entry in expected.items():
        error = tensor_errors[name]
        is_whole = entry.value.dim() == len(axes[name]) and not entry.step
        rows = row_errors(entry.of(results[name]), entry, axes[name]) if is_whole else (0.0,)
        plain[name] = PlainError(error.rel_l2, rows, error.head_error or 0.0, not error.nonfinite, count)
    return plain


def _tolerance(operator: Operator, case: Case, name: str, plain: PlainError) -> Tolerance:
    """Return the tolerance of one tensor from the error of the plain form."""
    spacing, is_half = SPACING[case.dtype], case.dtype in ("float16", "bfloat16")
    if case.mode == "decode" and _is_float32_state(operator, name):
        spacing = max(min(spacing, SPACING["float32"]), spacing / math.sqrt(case.T) if is_half else 0.0)
    if not plain.is_finite:
        limit = operator.tolerance[case.dtype]
        return Tolerance(limit, (MAX_TOLERANCE,), limit)
    factor, tokens = FACTOR[case.dtype], operator.call_tokens(case)
    terms = tokens + case.K + case.V
    sums = 0.0 if case.dtype == "float64" else RUNNING_SUM * math.sqrt(terms)
    growth = 1.0 if is_half else math.sqrt(max(1.0, tokens / PLAIN_TOKENS))
    ratio = case.B * case.H * tokens / plain.count
    maximum = 1 + max(0.0, math.log(ratio)) / math.log(max(plain.count, 3))
    row_factor = ROW_FACTOR[case.dtype]
    return Tolerance(
        factor * (plain.rel_l2 * growth + sums) + spacing,
        tuple(
            row_factor * (row * growth * maximum + RUNNING_ROW * sums) + spacing
            for row in _smooth(plain.rows)
        ),
        factor * (plain.head * growth + sums)
        + spacing * min(1.0, HEAD_SPACINGS / math.sqrt(max(1, tokens * max(case.K, case.V)))),
    )


def _smooth(rows: tuple[float, ...]) -> tuple[float, ...]:
    """Return the largest error of each zone and its neighbours; that of all for a zone without rows."""
    if len(rows) == 1:
        return rows
    largest = max(rows)
    near = [
        max(rows[max(0, zone - 2) : zone + 3 : 2] if zone >= 2 else rows[zone : zone + 3 : 2])
        for zone in range(len(rows))
    ]
    return tuple(error or largest for error in near)


def _is_float32_state(operator: Operator, name: str) -> bool:
    specs: dict[str, TensorSpec] = {spec.name: spec for spec in operator.state}
    return name in specs and not specs[name].is_copy
