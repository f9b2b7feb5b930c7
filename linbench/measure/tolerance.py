"""Tolerance: the largest error of a correct result, from the error of the plain form in the same dtype."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from linbench.core.case import Case
from linbench.core.operator import Operator
from linbench.measure.accuracy import errors

PLAIN_TOKENS = 2048
PLAIN_ROWS = 4096
FACTOR = 2.0
RUNNING_SUM = 2.0**-26
SPACING = {"float64": 1e-13, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def tolerances(operator: Operator, case: Case) -> dict[str, float]:
    """Return the largest relative L2 error of each tensor for which a result at a case is correct.

    With e the error of the operator's plain form, computed in the case's dtype on inputs of the same kind
    (T at most `PLAIN_TOKENS` and about `PLAIN_ROWS` rows in all, so that a small case is computed whole:
    where few tokens determine a result, other tokens would not show its error), a tensor's tolerance is

        2 (e max(1, T / PLAIN_TOKENS)^(1/2) + 2^-26 T^(1/2)) + u

    Beyond the tokens of the plain form, the rounding error of a sum grows as the square root of the number of
    its terms. 2^-26 T^(1/2) is the expected error of a running sum of T positive terms in float32, which a
    recurrent form has and the plain form may not. u is the spacing of the dtype at 1: an error that the plain
    form happens to avoid, for example where it does not round, is not a fault (in float64 the plain form may
    be the reference itself, and u is 1e-13). Where the plain form overflows, the operator's `tolerance`
    applies.
    """
    tokens = min(case.T, PLAIN_TOKENS)
    heads = min(case.H, max(1, PLAIN_ROWS // tokens))
    batch = min(case.B, max(1, PLAIN_ROWS // (tokens * heads)))
    small = replace(case, B=batch, T=tokens, H=heads)
    inputs = operator.generate(small, torch.Generator(device=case.device).manual_seed(case.seed))
    expected = operator.expected(small, inputs)
    plain_errors = errors(operator.plain_results(small, inputs), expected, dict.fromkeys(expected, math.inf))
    terms = operator.call_tokens(case)
    growth = math.sqrt(max(1.0, terms / PLAIN_TOKENS))
    running = 0.0 if case.dtype == "float64" else RUNNING_SUM * math.sqrt(terms)
    return {
        name: operator.tolerance[case.dtype]
        if error.nonfinite
        else FACTOR * (error.rel_l2 * growth + running) + SPACING[case.dtype]
        for name, error in plain_errors.items()
    }
