"""linear/fla-*, fast-transformers and lightning-attn: kernels of other libraries, if installed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from linbench import Case, implementation, needs
from linbench.core.implementation import Restriction
from linbench_impls.adapters import fla
from linbench_impls.linear.feature_map import feature_map as apply_map
from linbench_impls.linear.options import State, with_varlen
from linbench_impls.toolkit.normalizer import EPSILON
from linbench_impls.toolkit.register import Form, register

if TYPE_CHECKING:
    from torch import Tensor


def fla_attend(
    kernel: str,
    tensors: tuple[Tensor, Tensor, Tensor],
    feature_map: str,
    normalize: bool,
    state: State | None,
    output_final_state: bool,
    varlen: int = 1,
) -> tuple[Tensor, Any]:
    """Return output and final state of one of the library's kernels; the state is (S, z) if normalised.

    Its denominator has 1e-10 instead of the operator's 1e-6. Its z is [B, 1, H, K], in the dtype of k if
    there is no initial state; with a float32 z the output is float32 and is rounded here.
    """
    from fla.ops import linear_attn

    q, k, v = tensors
    q, k = (apply_map(x, feature_map) for x in (q, k))
    initial = None if state is None else (state[0], state[1][:, None]) if normalize else state[0]
    o, final = getattr(linear_attn, kernel)(
        q,
        k,
        v,
        scale=1.0,
        initial_state=initial,
        output_final_state=output_final_state,
        normalize=normalize,
        **fla.cu_seqlens(q, varlen),
    )
    return o.to(v.dtype), final


def fla_form(kernel: str, restriction: Restriction) -> Form:
    """Return the form of one of the library's kernels, with fwd and prefill."""

    def fwd(
        q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None, varlen: int
    ) -> Tensor:
        return fla_attend(kernel, (q, k, v), phi, normalize, state, False, varlen)[0]

    fwd.__doc__ = f"flash-linear-attention's {kernel}; feature map by torch."

    def prefill(
        q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", state: State | None = None
    ) -> tuple[Tensor, State]:
        o, (S, z) = fla_attend(
            kernel, (q, k, v), feature_map, normalize=True, state=state, output_final_state=True
        )
        return o, (S, z.squeeze(1))

    return Form(with_varlen(fwd), prefill, unsupported_reason=restriction)


fused_recurrent = fla_form("fused_recurrent_linear_attn", fla.unsupported_reason)
register("linear", "fla-chunk", fla_form("chunk_linear_attn", fla.chunk_unsupported_reason))
register("linear", "fla-fused-chunk", fla_form("fused_chunk_linear_attn", fla.unsupported_reason))
register("linear", "fla-fused-recurrent", replace(fused_recurrent, decode=fused_recurrent.prefill))


@implementation(
    "linear",
    "fast-transformers",
    layout="BHTD",
    unsupported_reason=needs(modules=("fast_transformers",), dtypes=("float32",)),
)
def fast_transformers(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = True
) -> Tensor:
    """fast-transformers' causal_dot_product, normalised as in its CausalLinearAttention.

    Raises:
        NotImplementedError: The library was built without its CUDA kernels.
    """
    import torch
    from fast_transformers import causal_product

    if q.is_cuda and causal_product.causal_dot_product_cuda is None:
        raise NotImplementedError("fast-transformers was built without nvcc, so it has no CUDA kernels")
    q, k = (apply_map(x, feature_map) for x in (q, k))
    o: Tensor = causal_product.causal_dot_product(q, k, v)
    if normalize:
        rows = torch.einsum("bhtk,bhtk->bht", q, k.cumsum(2)) + EPSILON
        o = o * (1 / rows)[..., None]
    return o


@fast_transformers.mode("decode")
def decode(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", state: State
) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place by its RecurrentLinearAttention."""
    from fast_transformers.feature_maps import ActivationFunctionFeatureMap
    from fast_transformers.recurrent.attention import RecurrentLinearAttention

    phi = ActivationFunctionFeatureMap.factory(lambda x: apply_map(x, feature_map))
    layer = RecurrentLinearAttention(q.shape[-1], phi, eps=EPSILON)
    o, (S, z) = layer(*(x.squeeze(2) for x in (q, k, v)), state=state)
    return o[:, :, None], (S, z)


lightning_needs = needs(
    device="cuda",
    modules=("lightning_attn",),
    dtypes=("float32", "float16", "bfloat16"),
    at_least={"K": 16, "V": 16},
    at_most={"K": 128, "V": 128},
)


def lightning_unsupported_reason(case: Case) -> str | None:
    """Return why lightning-attn does not support a case: no denominator, and only sizes 2^n."""
    reason = lightning_needs(case)
    if reason is not None:
        return reason
    if case.options.get("normalize", True):
        return "computes no denominator; set normalize=false"
    if case.K & (case.K - 1) or case.V & (case.V - 1):
        return f"supports K and V = 2^n, not K = {case.K} and V = {case.V}"
    return None


@implementation("linear", "lightning-attn", layout="BHTD", unsupported_reason=lightning_unsupported_reason)
def lightning_attn(
    q: Tensor, k: Tensor, v: Tensor, *, feature_map: str = "elu1", normalize: bool = False
) -> Tensor:
    """lightning-attn's kernel without decay and without the denominator, which it does not compute.

    Its lightning_attn_func fails without a decay, so the kernel is called directly.
    """
    from lightning_attn.ops.triton import lightning_attn2_no_decay

    del normalize  # False, by `lightning_unsupported_reason`
    q, k = (apply_map(x, feature_map) for x in (q, k))
    o: Tensor = lightning_attn2_no_decay(q, k, v)
    return o
