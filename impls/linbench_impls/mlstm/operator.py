"""Operator mlstm: a matrix memory with exponential input gates and sigmoid forget gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.operator import magnitude
from linbench.core.tensor import normal
from linbench_impls.mlstm import forms
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import (
    GATES,
    INITIAL_STATE,
    QKV,
    Recurrence,
    State,
    gate_shift,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFTS = (3.0, 8.0, -4.0)
INPUT_SHIFT = -3.0


@operator
class MLSTM(Recurrence):
    """The matrix memory of xLSTM, without norm and output gate.

    m_t = max(log f_t + m_{t-1}, i_t), S_t = exp(log f_t + m_{t-1} - m_t) S_{t-1} + exp(i_t - m_t) k_t
    v_t^T, n_t likewise for k_t, o_t = K^-1/2 S_t^T q_t / max(|K^-1/2 n_t . q_t|, exp(-m_t)); log f_t = log
    sigmoid(f). q, k: [B, T, H, K]; v, o: [B, T, H, V]; i, f: [B, T, H], float32; S: [B, H, K, V], n: [B, H,
    K] and m: [B, H], float32, all zero before the first token. i = x - 3, so that most denominators are at
    their lower bound, as after an initialisation with low gates; f = x + a with x normal and a = 3 (a median
    step keeps 95%), 8 (99.97%) or -4 (1.8%).
    """

    name = "mlstm"
    title = "Matrix memory with exponential input gates (mLSTM of xLSTM)"
    source = "Beck et al. 2024, xLSTM, arXiv:2405.04517"
    inputs = (
        *QKV,
        TensorSpec("i", "BTH", at_least_float32=True),
        TensorSpec("f", "BTH", at_least_float32=True),
    )
    state = (TensorSpec("S", "BHKV"), TensorSpec("n", "BHK"), TensorSpec("m", "BH"))
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and gates before the sigmoid or the exponent."""
        if spec.name == "i":
            return normal(shape, generator) + INPUT_SHIFT
        if spec.name == "f":
            return normal(shape, generator) + gate_shift(options, SHIFTS)
        return super().draw(spec, shape, generator, options)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S and n for random keys and values, and m in the range of gates."""
        size = magnitude(self.option_values(case))
        S, n, m = (normal(spec.shape(case, 1), generator) for spec in self.state)
        return S * size**2, n * size, m

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk."""
        return forms.chunked(*tensors, state=state)

    def start(self, tensors: Mapping[str, Tensor]) -> State:
        """Return S, n and m before the first token: zero."""
        (S,) = super().start(tensors)
        return S, S.new_zeros(S.shape[:-1]), S.new_zeros(S.shape[:2])

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it; gradients include those through m."""
        import torch
        import torch.nn.functional as F

        S, n, m = state
        k, v, i, log_f = token["k"], token["v"], token["i"], F.logsigmoid(token["f"])
        q = token["q"] * token["q"].shape[-1] ** -0.5
        highest = torch.maximum(log_f + m, i)
        decay, new = (log_f + m - highest).exp(), (i - highest).exp()
        S = decay[..., None, None] * S + torch.einsum("bh,bhk,bhv->bhkv", new, k, v)
        n = decay[..., None] * n + new[..., None] * k
        total = torch.maximum(torch.einsum("bhk,bhk->bh", n, q).abs(), (-highest).exp())
        return torch.einsum("bhkv,bhk->bhv", S, q) / total[..., None], (S, n, highest)

    def least_flops(self, case: Case) -> float:
        """Return the operations of the cheaper of the recurrent and the parallel form."""
        return flops.least(case, case.K, case.V)
