"""linear/recurrent: the definition, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench_impls.linear import mathematics
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.varlen import each, flops_of_each

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]


@flops_of_each
def step_flops(case: Case) -> float:
    """Return the operations of T steps, of one in decode."""
    return flops.recurrent(case, case.K, case.V)


def kept_states(case: Case) -> float:
    """Return the bytes of the states that backward keeps, one a token and one more for the product."""
    if case.mode != "fwd_bwd":
        return 0
    return 2 * 4 * case.tokens * case.H * case.K * case.V


@implementation("linear", "recurrent", layout="TBHD", flops=step_flops, extra_bytes=kept_states)
def recurrent(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    packed: int = 1,
    state: State | None = None,
) -> Tensor:
    """Recurrent form: one step a token, the state in float32; packed sequences one by one."""

    def form(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return prefill(q, k, v, feature_map=feature_map, normalize=normalize, state=state)[0]

    return each(form, (q, k, v), packed, axis=0)


@recurrent.mode("prefill")
def prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    import torch

    dtype = mathematics.sum_dtype(q)
    q, k = (mathematics.feature_map(x, feature_map).to(dtype) for x in (q, k))
    values = v.to(dtype)
    if state is None:
        _, batch, heads, keys = k.shape
        state = (k.new_zeros(batch, heads, keys, v.shape[-1]), k.new_zeros(batch, heads, keys))
    outputs = []
    for query, key, value in zip(q, k, values, strict=True):
        o, state = step(query, key, value, state, normalize)
        outputs.append(o)
    return torch.stack(outputs).to(v.dtype), state


@recurrent.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True, state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the state after it."""
    return prefill(q, k, v, feature_map=feature_map, normalize=normalize, state=state)


def step(q: Tensor, k: Tensor, v: Tensor, state: State, normalize: bool) -> tuple[Tensor, State]:
    """Return one token's output and the state after it; q, k: [B, H, K], v: [B, H, V]."""
    S, z = state
    S = S + k[..., :, None] * v[..., None, :]
    z = z + k
    o = (q[..., None, :] @ S).squeeze(-2)
    if normalize:
        o = o / ((q * z).sum(-1, keepdim=True) + mathematics.EPSILON)
    return o, (S, z)
