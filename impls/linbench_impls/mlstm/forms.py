"""The forms of mLSTM, with a running maximum m that keeps the gates in range.

    m_t = max(log f_t + m_{t-1}, i_t)
    S_t = exp(log f_t + m_{t-1} - m_t) S_{t-1} + exp(i_t - m_t) k_t v_t^T

and n_t likewise for k_t; o_t = S_t^T q_t / max(|n_t . q_t|, exp(-m_t)), f a sigmoid, q scaled by K^-1/2.
The output does not depend on m, so m has no gradient, except that of an initial state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.normalizer import append_one, join_state, split_state
from linbench_impls.toolkit.register import float32_form, register
from linbench_impls.toolkit.scan import running_maximum

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def gates(i: Tensor, f: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-decays and log-weights of new tokens, both never above 0, and m; all [B, H, T]."""
    import torch
    import torch.nn.functional as F

    log_f = F.logsigmoid(f)
    first = i.new_zeros(i.shape[:2]) if state is None else state[2]
    m = running_maximum(log_f, i, first)
    before = torch.cat([first[..., None], m[..., :-1]], -1)
    return log_f + before - m, i - m, m


def divide_by_normalizer(o: Tensor, m: Tensor) -> Tensor:
    """Return all but the last number of each row, divided by max(|last|, exp(-m)); m: [B, H, T]."""
    import torch

    return o[..., :-1] / torch.maximum(o[..., -1:].abs(), (-m).exp()[..., None])


def chunked(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, *, state: State | None, size: int = 0
) -> tuple[Tensor, State]:
    """Chunked form in torch, with a scan for m; O(T) time and memory; in float32."""
    g, new, m = gates(i, f, state)
    q, k = q * q.shape[-1] ** -0.5, k * new.exp()[..., None]
    before = None if state is None else join_state(state[:2])
    o, joint = transition.diagonal(q, k, append_one(v), g[..., None], before, size)
    return divide_by_normalizer(o, m), (*split_state(joint), m[..., -1])


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token; in float32."""
    import torch
    import torch.nn.functional as F

    q = q * q.shape[-1] ** -0.5
    if state is None:
        batch, heads, _, keys = k.shape
        state = (
            k.new_zeros(batch, heads, keys, v.shape[-1]),
            k.new_zeros(batch, heads, keys),
            i.new_zeros(i.shape[:2]),
        )
    S, n, m = state
    outputs = []
    for query, key, value, gate, log_f in zip(
        *(x.unbind(2) for x in (q, k, v, i, F.logsigmoid(f))), strict=True
    ):
        highest = torch.maximum(log_f + m, gate).detach()
        decay, new = (log_f + m - highest).exp()[..., None], (gate - highest).exp()[..., None]
        S = decay[..., None] * S + (new * key)[..., :, None] * value[..., None, :]
        n = decay * n + new * key
        m = highest
        total = torch.maximum((n * query).sum(-1).abs(), (-m).exp())
        outputs.append((query[..., None, :] @ S).squeeze(-2) / total[..., None])
    return torch.stack(outputs, 2), (S, n, m)


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form including the masked half; n counts as one more value."""
    return flops.chunked(case, case.K, case.V + 1, transition.SCALAR_CHUNK)


def step_flops(case: Case) -> float:
    """Return the operations of T steps, or of one in decode."""
    return flops.recurrent(case, case.K, case.V, gated=True)


register(
    "mlstm",
    "chunk",
    float32_form(chunked, layout="BHTD", flops=chunk_flops, extra_bytes=transition.chunk_bytes),
)
register(
    "mlstm",
    "recurrent",
    float32_form(recurrent, layout="BHTD", flops=step_flops, extra_bytes=transition.step_bytes),
)
