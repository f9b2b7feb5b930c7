"""softmax/flash, efficient, cudnn and math: torch's scaled_dot_product_attention with a forced backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case
from linbench_impls.adapters.sdpa import BACKENDS, Backend, attend, score_bytes
from linbench_impls.softmax.padding import visible_keys
from linbench_impls.toolkit.cache import new_cache
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.register import Form, register
from linbench_impls.toolkit.varlen import sequence_mask

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]

MASKED = ("padding", "varlen")


def form(backend: Backend) -> Form:
    """Return the form of a backend, which gets a mask for padding and varlen sequences."""

    def unsupported_reason(case: Case) -> str | None:
        masked = [option for option in MASKED if option in case.options]
        reason = backend.mask_unsupported_reason(case) if masked else None
        return (
            backend.restriction(case) if reason is None else f"{reason}, so it does not support {masked[0]}"
        )

    def flops(case: Case) -> float:
        """Return the operations; a fused backend computes only the causal pairs, except with a mask."""
        if case.mode == "decode":
            return pairs(case, case.T + 1)
        masked = case.options.keys() & MASKED  # then every pair is computed
        return backend.flops(case, backend.fused and bool(case.options.get("causal", True)) and not masked)

    def fwd(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        causal: bool = True,
        group: int = 1,
        padding: float = 0.0,
        varlen: int = 1,
    ) -> Tensor:
        tokens, mask = q.shape[2], None
        if varlen > 1:
            mask = sequence_mask(tokens, varlen, causal, q.device)
        elif padding:
            mask = visible_keys(q.shape[0], tokens, padding, q.device)[:, None, None]
        return attend(backend, q, k, v, causal=causal and mask is None, group=group, mask=mask)

    fwd.__doc__ = f"torch's scaled_dot_product_attention with the {backend.name} backend."

    def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
        o = attend(backend, q, k, v, causal=True, group=group)
        return o, (new_cache(k, k.shape[2]), new_cache(v, v.shape[2]))

    def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
        keys, values = state
        keys[:, :, -1:], values[:, :, -1:] = k, v
        return attend(backend, q, keys, values, group=group), state

    return Form(
        fwd,
        prefill,
        decode,
        layout="BHTD",
        unsupported_reason=unsupported_reason,
        flops=flops,
        extra_bytes=None if backend.fused else score_bytes,
    )


for _name, _backend in BACKENDS.items():
    register("softmax", _name, form(_backend))
