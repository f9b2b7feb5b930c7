"""The forms of mLSTM, whose gates are kept in range by a running maximum m.

    m_t = max(log f_t + m_{t-1}, i_t)
    S_t = exp(log f_t + m_{t-1} - m_t) S_{t-1} + exp(i_t - m_t) k_t v_t^T

and n_t likewise of k_t; o_t = S_t^T q_t / max(|n_t . q_t|, exp(-m_t)), f a sigmoid, q scaled by K^-1/2. The
output does not depend on m, which therefore has no gradient but that of the one given in a state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.toolkit import flops, transition
from linbench_impls.toolkit.normalizer import apart, joint, with_one
from linbench_impls.toolkit.register import exact, register
from linbench_impls.toolkit.scan import running_maximum

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def gates(i: Tensor, f: Tensor, state: State | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-decays, log-weights of new tokens, both never above 0, and m; all [B, H, T]."""
    import torch
    import torch.nn.functional as F

    log_f = F.logsigmoid(f)
    first = i.new_zeros(i.shape[:2]) if state is None else state[2]
    m = running_maximum(log_f, i, first)
    before = torch.cat([first[..., None], m[..., :-1]], -1)
    return log_f + before - m, i - m, m


def divided(o: Tensor, m: Tensor) -> Tensor:
    """Return all but the last number of each row, divided by max(|that|, exp(-m)); m: [B, H, T]."""
    import torch

    return o[..., :-1] / torch.maximum(o[..., -1:].abs(), (-m).exp()[..., None])


def chunked(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, *, state: State | None, size: int = 0
) -> tuple[Tensor, State]:
    """Chunked form in torch: O(T) time and memory, m by a scan; in float32."""
    g, new, m = gates(i, f, state)
    q, k = q * q.shape[-1] ** -0.5, k * new.exp()[..., None]
    before = None if state is None else joint(state[:2])
    o, both = transition.diagonal(q, k, with_one(v), g[..., None], before, size)
    return divided(o, m), (*apart(both), m[..., -1])


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, *, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form: one step a token; in float32."""
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
        kept, new = (log_f + m - highest).exp()[..., None], (gate - highest).exp()[..., None]
        S = kept[..., None] * S + (new * key)[..., :, None] * value[..., None, :]
        n = kept * n + new * key
        m = highest
        total = torch.maximum((n * query).sum(-1).abs(), (-m).exp())
        outputs.append((query[..., None, :] @ S).squeeze(-2) / total[..., None])
    return torch.stack(outputs, 2), (S, n, m)


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, n as one more value, in the masked half of a chunk too."""
    return flops.chunked(case, case.K, case.V + 1, transition.SCALAR_CHUNK)


def step_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode."""
    return flops.recurrent(case, case.K, case.V, gated=True)


register(
    "mlstm",
    "chunk",
    exact(chunked, layout="BHTD", flops=chunk_flops, extra_bytes=transition.chunk_bytes),
)
register(
    "mlstm",
    "recurrent",
    exact(recurrent, layout="BHTD", flops=step_flops, extra_bytes=transition.step_bytes),
)
