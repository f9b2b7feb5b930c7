"""softmax/flash, efficient, cudnn and math: torch's scaled_dot_product_attention, each backend forced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linbench import Case, implementation, needs
from linbench.core.implementation import WhyNot
from linbench_impls.softmax.padding import visible

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]
HALF = ("float16", "bfloat16")


def equal_dims(rule: WhyNot) -> WhyNot:
    """Return a rule that also asks for K = V."""

    def why_not(case: Case) -> str | None:
        if case.K != case.V:
            return f"takes K = V, not K = {case.K} and V = {case.V}"
        return rule(case)

    return why_not


def flash_why_not(case: Case) -> str | None:
    """Return why the flash backend cannot take a case: on CUDA it takes half types only, and no mask."""
    if case.device == "cuda":
        if case.options.get("padding"):
            return "takes no mask, so it cannot do padding"
        return needs(dtypes=HALF, at_most={"K": 256}, multiple_of={"K": 8}, capability=(8, 0))(case)
    return None


def math_bytes(case: Case) -> float:
    """Return the bytes of the scores and weights that the math backend makes."""
    rows = 1 if case.mode == "decode" else case.T
    copies = 5 if case.mode == "fwd_bwd" else 3
    return copies * case.B * case.H * rows * case.T * max(case.item_bytes, 4)


def math_flops(case: Case) -> float:
    """Return the operations of the full products; the masked half is computed too."""
    rows = 1 if case.mode == "decode" else case.T
    passes = 3 if case.mode == "fwd_bwd" else 1  # backward makes two products of each
    return passes * 2 * case.B * case.H * rows * case.T * (case.K + case.V)


BACKENDS = {
    "flash": ("FLASH_ATTENTION", equal_dims(flash_why_not)),
    "efficient": ("EFFICIENT_ATTENTION", needs(device="cuda", dtypes=("float32", *HALF))),
    "cudnn": (
        "CUDNN_ATTENTION",
        needs(device="cuda", dtypes=HALF, at_most={"K": 128}, multiple_of={"K": 8}, capability=(8, 0)),
    ),
    "math": ("MATH", needs()),
}


def attend(
    backend: str, q: Tensor, k: Tensor, v: Tensor, causal: bool, group: int, padding: float = 0.0
) -> Tensor:
    """Return attention by one backend of torch, and no other; q: [B, H, T, D], k, v: [B, H / group, T, D].

    Raises:
        NotImplementedError: The backend refuses these inputs.
    """
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    seen = visible(k.shape[0], k.shape[2], padding, k.device)[:, None, None] if padding else None
    try:
        with sdpa_kernel(getattr(SDPBackend, backend)):
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=seen, is_causal=causal, enable_gqa=group > 1
            )
    except RuntimeError as error:
        if "No available kernel" in str(error) or "No viable backend" in str(error):
            raise NotImplementedError(f"torch's {backend} backend refuses these inputs") from error
        raise


def register(name: str, backend: str, rule: WhyNot) -> None:
    """Register the implementation of one backend, with its prefill and decode."""

    def fwd(
        q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, group: int = 1, padding: float = 0.0
    ) -> Tensor:
        return attend(backend, q, k, v, causal, group, padding)

    fwd.__doc__ = f"torch's scaled_dot_product_attention, {backend} forced."
    made = implementation(
        "softmax",
        name,
        layout="BHTD",
        why_not=rule,
        flops=math_flops if name == "math" else None,
        extra_bytes=math_bytes if name == "math" else None,
    )(fwd)

    @made.mode("prefill")
    def prefill(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1) -> tuple[Tensor, State]:
        caches = tuple(x.new_empty(*x.shape[:2], x.shape[2] + 1, x.shape[3]) for x in (k, v))
        for cache, x in zip(caches, (k, v), strict=True):
            cache[:, :, :-1] = x
        return attend(backend, q, k, v, True, group), caches

    @made.mode("decode")
    def decode(q: Tensor, k: Tensor, v: Tensor, *, group: int = 1, state: State) -> tuple[Tensor, State]:
        keys, values = state
        keys[:, :, -1:], values[:, :, -1:] = k, v
        return attend(backend, q, keys, values, False, group), state


for _name, (_backend, _rule) in BACKENDS.items():
    register(_name, _backend, _rule)
