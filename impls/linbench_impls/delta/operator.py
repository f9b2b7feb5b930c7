"""Operator delta: the delta rule without a gate."""

from linbench import operator
from linbench_impls.families.dplr.operator import BETA, DeltaRule
from linbench_impls.toolkit.recurrence import QKV


@operator
class Delta(DeltaRule):
    """The delta rule of DeltaNet.

    S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T, o_t = K^-1/2 S_t^T q_t; the rest as in `DeltaRule`.
    """

    name = "delta"
    title = "Delta rule: each token corrects what the state says of its key"
    source = "Yang et al. 2024, Parallelizing Linear Transformers with the Delta Rule, arXiv:2406.06484"
    inputs = (*QKV, BETA)
