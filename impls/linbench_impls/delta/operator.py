"""Operator delta: the delta rule without a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import operator
from linbench_impls.families.dplr.operator import BETA, DeltaRule
from linbench_impls.families.dplr.parametrization import Arguments, Parametrization, delta_rule
from linbench_impls.toolkit.recurrence import QKV

if TYPE_CHECKING:
    from torch import Tensor


def arguments(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Arguments:
    """Return the arguments of the delta rule without a gate: a = k, b = -beta k, keys times beta."""
    return delta_rule(q, k, v, beta.new_zeros(beta.shape)[..., None], beta)


@operator
class Delta(DeltaRule):
    """The delta rule of DeltaNet.

    S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T, o_t = K^-1/2 S_t^T q_t; otherwise as in `DeltaRule`.
    """

    name = "delta"
    title = "Delta rule: each token corrects the value that the state returns for its key"
    source = "Yang et al. 2024, Parallelizing Linear Transformers with the Delta Rule, arXiv:2406.06484"
    inputs = (*QKV, BETA)
    parametrization = Parametrization(arguments, gates=None)
