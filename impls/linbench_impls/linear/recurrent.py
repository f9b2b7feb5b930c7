"""linear/recurrent: the definition, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.linear.feature_map import feature_map
from linbench_impls.linear.options import State, fwd_per_sequence, with_options
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.dtype import accumulation_dtype
from linbench_impls.toolkit.normalizer import EPSILON
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import sum_flops

if TYPE_CHECKING:
    from torch import Tensor


@sum_flops
def step_flops(case: Case) -> float:
    """Return the operations of T steps, or of one in decode."""
    return flops.recurrent(case, case.K, case.V)


def saved_bytes(case: Case) -> float:
    """Return the bytes saved for backward: per token the state, and a copy of it for the product."""
    if case.mode != "fwd_bwd":
        return 0
    return 2 * 4 * case.tokens * case.H * case.K * case.V


def recurrent(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None
) -> tuple[Tensor, State]:
    """Recurrent form in torch: one step per token; the state in float32; varlen sequences one by one."""
    import torch

    dtype = accumulation_dtype(q)
    q, k = (feature_map(x, phi).to(dtype) for x in (q, k))
    values = v.to(dtype)
    if state is None:
        _, batch, heads, keys = k.shape
        state = (k.new_zeros(batch, heads, keys, v.shape[-1]), k.new_zeros(batch, heads, keys))
    outputs = []
    for query, key, value in zip(q, k, values, strict=True):
        o, state = step(query, key, value, state, normalize)
        outputs.append(o)
    return torch.stack(outputs).to(v.dtype), state


def step(q: Tensor, k: Tensor, v: Tensor, state: State, normalize: bool) -> tuple[Tensor, State]:
    """Return one token's output and the state after it; q, k: [B, H, K], v: [B, H, V]."""
    S, z = state
    S = S + k[..., :, None] * v[..., None, :]
    z = z + k
    o = (q[..., None, :] @ S).squeeze(-2)
    if normalize:
        o = o / ((q * z).sum(-1, keepdim=True) + EPSILON)
    return o, (S, z)


register(
    "linear",
    "recurrent",
    Form(
        fwd_per_sequence(recurrent, axis=0),
        with_options(recurrent),
        with_options(recurrent),
        layout="TBHD",
        flops=step_flops,
        extra_bytes=saved_bytes,
    ),
)
