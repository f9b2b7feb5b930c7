"""simple_gla/fla-* and mamba-ssd: kernels of flash-linear-attention and mamba-ssm, if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linbench import implementation, needs
from linbench_impls.adapters import fla
from linbench_impls.toolkit.register import register

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor"]
MAMBA_CHUNK = 256

INPUTS = fla.scaled("q", "k", "v", "g")
register(
    "simple_gla", "fla-chunk", fla.kernel("simple_gla.chunk_simple_gla", INPUTS, fla.chunk_unsupported_reason)
)
register(
    "simple_gla",
    "fla-fused-chunk",
    fla.kernel("simple_gla.fused_chunk_simple_gla", INPUTS, fla.unsupported_reason),
)
register("simple_gla", "fla-fused-recurrent", fla.recurrent("simple_gla.fused_recurrent_simple_gla", INPUTS))


@implementation("simple_gla", "fla-parallel", unsupported_reason=fla.unsupported_reason)
def parallel(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """flash-linear-attention's parallel_simple_gla, quadratic in T."""
    return fla.parallel(q, k, v, g)


mamba_needs = needs(device="cuda", modules=("mamba_ssm",), dtypes=("float32", "float16", "bfloat16"))


@implementation("simple_gla", "mamba-ssd", differentiable=False, unsupported_reason=mamba_needs)
def mamba_ssd(q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None) -> Tensor:
    """mamba-ssm's mamba_chunk_scan_combined, one group per head, with its default chunks of 256.

    It computes S_t = exp(dt_t A) S_{t-1} + dt_t B_t x_t^T and C_t^T S_t, where A is one number per head. So
    A is the mean of g, dt = g / A, which is about 1, x = v / dt, B = k, C = q K^-1/2. g must not be 0.
    Forward only: the library's gradient of dt includes that of dt x, and their difference loses precision.
    """
    o: Tensor = scan(q, k, v, g, state, return_final_states=False)
    return o


@mamba_ssd.mode("prefill")
def prefill(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, *, state: State | None = None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token, which the library returns as [B, H, V, K]."""
    o, S = scan(q, k, v, g, state, return_final_states=True)
    return o, (S.transpose(-1, -2),)


def scan(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: State | None, return_final_states: bool) -> Any:
    """Return the result of mamba_chunk_scan_combined: the output, with the final state if requested."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    A = g.float().mean((0, 1))
    dt = g / A
    return mamba_chunk_scan_combined(
        (v / dt[..., None]).to(v.dtype),
        dt,
        A,
        k,
        q * q.shape[-1] ** -0.5,
        MAMBA_CHUNK,
        initial_states=None if state is None else state[0].transpose(-1, -2),
        return_final_states=return_final_states,
    )
