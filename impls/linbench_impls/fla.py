"""flash-linear-attention: what its kernels take, and how those of simple_gla are registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linbench import Case, implementation, needs
from linbench.core.implementation import Implementation, WhyNot

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor"]

why_not = needs(device="cuda", modules=("fla",), dtypes=("float32", "float16", "bfloat16"))


def chunk_why_not(case: Case) -> str | None:
    """Return why the chunk kernels cannot take a case: their backward refuses odd sizes of half types."""
    reason = why_not(case)
    if reason is None and case.mode == "fwd_bwd" and case.item_bytes == 2 and (case.K % 2 or case.V % 2):
        return f"takes even K and V in fwd_bwd of {case.dtype}, not K = {case.K} and V = {case.V}"
    return reason


def register(operator: str, name: str, kernel: str, decay: str, rule: WhyNot) -> Implementation:
    """Return the implementation of an operator with decay by a simple_gla kernel, with its prefill.

    Args:
        operator: The operator, whose inputs are q, k, v and the log-decay, and whose state is S.
        name: The implementation's own name.
        kernel: The function in fla.ops.simple_gla.
        decay: What it calls the log-decay: g, [B, T, H], or g_gamma, [H].
        rule: Says why a case cannot be taken.
    """

    def run(tensors: tuple[Tensor, ...], state: State | None, output_final_state: bool) -> Any:
        from fla.ops import simple_gla

        q, k, v, log_decay = tensors
        return getattr(simple_gla, kernel)(
            q,
            k,
            v,
            **{decay: log_decay},
            scale=q.shape[-1] ** -0.5,
            initial_state=None if state is None else state[0],
            output_final_state=output_final_state,
        )

    def fwd(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, *, state: State | None = None) -> Tensor:
        o: Tensor = run((q, k, v, log_decay), state, output_final_state=False)[0]
        return o

    fwd.__doc__ = f"flash-linear-attention's {kernel}."
    made = implementation(operator, name, why_not=rule)(fwd)

    @made.mode("prefill")
    def prefill(
        q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, *, state: State | None = None
    ) -> tuple[Tensor, State]:
        o, S = run((q, k, v, log_decay), state, output_final_state=True)
        return o, (S,)

    return made


def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Return the output of parallel_simple_gla, which is quadratic in T and has no state; g: [B, T, H]."""
    from fla.ops.simple_gla import parallel_simple_gla

    o: Tensor = parallel_simple_gla(q, k, v, g, scale=q.shape[-1] ** -0.5)[0]
    return o
