"""softmax/flash, efficient, cudnn and math: torch's scaled_dot_product_attention, each backend forced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from linbench import Case, implementation
from linbench.core.implementation import WhyNot
from linbench_impls.adapters.sdpa import BACKENDS, attend, mask_why_not, score_bytes, whole_flops
from linbench_impls.softmax.padding import visible
from linbench_impls.toolkit.cache import cache_of
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.varlen import mask

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


def why_not_of(name: str, rule: WhyNot) -> WhyNot:
    """Return the rule of a backend, which is asked for a mask where keys are padded or sequences packed."""

    def why_not(case: Case) -> str | None:
        masked = [option for option in ("padding", "packed") if option in case.options]
        reason = mask_why_not(name, case) if masked else None
        return rule(case) if reason is None else f"{reason}, so it cannot do {masked[0]}"

    return why_not


def flops_of(name: str) -> Callable[[Case], float]:
    """Return what counts the operations of a backend; a fused one does the causal half, unless by a mask."""

    def flops(case: Case) -> float:
        if case.mode == "decode":
            return pairs(case, case.T + 1)
        masked = case.options.keys() & {"padding", "packed"}  # then every pair is computed
        halved = name != "math" and case.options.get("causal", True) and not masked
        return whole_flops(name, case) / (2 if halved else 1)

    return flops


def register(name: str, backend: str, rule: WhyNot) -> None:
    """Register the implementation of one backend, with its prefill and decode."""

    def fwd(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        causal: bool = True,
        group: int = 1,
        padding: float = 0.0,
        packed: int = 1,
    ) -> Tensor:
        tokens, seen = q.shape[2], None
        if packed > 1:
            seen = mask(tokens, packed, causal, q.device)
        elif padding:
            seen = visible(q.shape[0], tokens, padding, q.device)[:, None, None]
        return attend(backend, q, k, v, causal=causal and seen is None, group=group, seen=seen)

    fwd.__doc__ = f"torch's scaled_dot_product_attention, {backend} forced."
    made = implementation(
        "softmax",
        name,
        layout="BHTD",
        why_not=why_not_of(name, rule),
        flops=flops_of(name),
        extra_bytes=score_bytes if name == "math" else None,
    )(fwd)

    @made.mode("prefill")
    def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
        o = attend(backend, q, k, v, causal=True, group=group)
        return o, (cache_of(k, k.shape[2]), cache_of(v, v.shape[2]))

    @made.mode("decode")
    def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
        keys, values = state
        keys[:, :, -1:], values[:, :, -1:] = k, v
        return attend(backend, q, keys, values, group=group), state


for _name, (_backend, _rule) in BACKENDS.items():
    register(_name, _backend, _rule)
