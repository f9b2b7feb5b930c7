"""scaled_dot_product_attention of torch: its backends, their supported cases, and forcing one backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from linbench import Case, needs
from linbench.core.implementation import Restriction
from linbench_impls.toolkit.flops import has_backward, pairs

if TYPE_CHECKING:
    from torch import Tensor

HALF = ("float16", "bfloat16")

cuda_flash_needs = needs(dtypes=HALF, at_most={"K": 256}, multiple_of={"K": 8}, capability=(8, 0))


def flash_unsupported_reason(case: Case) -> str | None:
    """Return why the flash backend does not support a case: on CUDA it supports half types only."""
    if case.K != case.V:
        return f"supports K = V, not K = {case.K} and V = {case.V}"
    return cuda_flash_needs(case) if case.device == "cuda" else None


@dataclass(frozen=True)
class Backend:
    """A backend of scaled_dot_product_attention.

    Attributes:
        name: torch's name of the backend.
        restriction: Returns why a case is not supported, or None.
        fused: Whether it stores no matrix of scores in memory, and so recomputes the scores for the gradient.
        masks_on_cuda: Whether it supports a mask of visible keys on a CUDA device.
    """

    name: str
    restriction: Restriction
    fused: bool = True
    masks_on_cuda: bool = True

    def mask_unsupported_reason(self, case: Case) -> str | None:
        """Return why the backend does not support a mask, or None."""
        if not self.masks_on_cuda and case.device == "cuda":
            return "supports no mask on a CUDA device"
        return None

    def flops(self, case: Case, causal: bool = False) -> float:
        """Return the operations over all T x T pairs, or over the causal ones alone."""
        count = case.T * (case.T + 1) / 2 if causal else case.T**2
        recomputation = 2 * case.B * case.H * count * case.K if has_backward(case) and self.fused else 0
        return pairs(case, count) + recomputation


BACKENDS = {
    "flash": Backend("FLASH_ATTENTION", flash_unsupported_reason, masks_on_cuda=False),
    "efficient": Backend("EFFICIENT_ATTENTION", needs(device="cuda", dtypes=("float32", *HALF))),
    "cudnn": Backend(
        "CUDNN_ATTENTION",
        needs(device="cuda", dtypes=HALF, at_most={"K": 128}, multiple_of={"K": 8}, capability=(8, 0)),
    ),
    "math": Backend("MATH", needs(), fused=False),
}
"""Backends by the name of the implementation."""


def score_bytes(case: Case) -> float:
    """Return the bytes of the scores and weights that the math backend stores; one row in decode."""
    rows = 1 if case.mode == "decode" else case.T
    copies = 5 if case.mode == "fwd_bwd" else 3
    return copies * case.B * case.H * rows * case.T * max(case.item_bytes, 4)


def attend(
    backend: Backend,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = False,
    group: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Return attention by one forced backend of torch; q: [B, H, T, D], k, v: [B, H / group, T, D].

    Args:
        backend: The backend.
        q: Queries.
        k: Keys.
        v: Values.
        causal: Whether a row sees no later keys; not allowed together with `mask`.
        group: Number of heads of q per head of k.
        mask: True where a row sees a key, bool, broadcast to [B, H, T, T].

    Raises:
        NotImplementedError: The backend does not support these inputs.
    """
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    try:
        with sdpa_kernel(getattr(SDPBackend, backend.name)):
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=group > 1
            )
    except RuntimeError as error:
        if "No available kernel" in str(error) or "No viable backend" in str(error):
            raise NotImplementedError(
                f"torch's {backend.name} backend does not support these inputs"
            ) from error
        raise
