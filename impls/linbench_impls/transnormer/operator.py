"""Operator transnormer: unnormalised linear attention with an RMS norm on the output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from linbench import Case, Expected, Inputs, operator
from linbench.core.operator import magnitude
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import QKV, Recurrence, State
from linbench_impls.transnormer import forms

if TYPE_CHECKING:
    from torch import Generator, Tensor

SECOND_MOMENT = 2.0  # E[(elu(x) + 1)^2] for normal x


@operator
class TransNormer(Recurrence):
    """NormAttention of TransNormer.

    S_t = S_{t-1} + phi(k_t) v_t^T, o_t = RMSNorm(S_t^T phi(q_t)); phi = elu + 1, no scale, RMSNorm(x) =
    x / sqrt(mean(x^2) + 1e-6) over V without weights; q, k: [B, T, H, K]; v, o: [B, T, H, V]; S:
    [B, H, K, V], float32. The code of the authors computes one norm over all heads, H V elements, with
    weights. TransNormer's softmax in blocks is the operator diag_attention.
    """

    name = "transnormer"
    title = "Linear attention with an RMS norm instead of a denominator (NormAttention)"
    source = "Qin et al. 2022, The Devil in Linear Transformer, arXiv:2210.10340"
    inputs = QKV

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S with its variance after T tokens of random keys and values."""
        (S,) = super().draw_state(case, generator)
        return (S * magnitude(self.option_values(case)) * math.sqrt(case.T * SECOND_MOMENT),)

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk."""
        return forms.chunked(*tensors, state=state)

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch
        import torch.nn.functional as F

        q, k = (F.elu(token[name]) + 1 for name in ("q", "k"))
        S = state[0] + torch.einsum("bhk,bhv->bhkv", k, token["v"])
        return forms.rms_norm(torch.einsum("bhkv,bhk->bhv", S, q)), (S,)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values; at T = 1 o is the normalised v, and dq and dk are zero."""
        expected = super().expected(case, inputs)
        if case.T == 1 and inputs.state is None:
            expected |= {
                name: replace(expected[name], zero_rms=1.0) for name in expected.keys() & {"dq", "dk"}
            }
        return expected

    def least_flops(self, case: Case) -> float:
        """Return the operations of the cheaper of the recurrent and the parallel form."""
        return flops.least(case, case.K, case.V)
