"""mamba/mamba-ssm: the selective scan of mamba-ssm, if installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linbench import implementation, needs

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor"]

unsupported_reason = needs(device="cuda", modules=("mamba_ssm",), dtypes=("float32",), at_most={"K": 256})


@implementation("mamba", "mamba-ssm", unsupported_reason=unsupported_reason)
def mamba_ssm(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """mamba-ssm's selective_scan_fn, including copies of u and dt to its layout with tokens last.

    It needs dt in the dtype of u, which is too coarse for half types, and supports no initial state.
    """
    y = scan(u, dt, A, B, C, D, return_last_state=False)
    o: Tensor = y.transpose(1, 2).unflatten(2, u.shape[2:])
    return o


@mamba_ssm.mode("prefill")
def prefill(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> tuple[Tensor, State]:
    """Return the output and the state after the last token, which the library returns as [B, H V, K]."""
    y, h = scan(u, dt, A, B, C, D, return_last_state=True)
    return y.transpose(1, 2).unflatten(2, u.shape[2:]), (h.unflatten(1, u.shape[2:]).transpose(2, 3),)


def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, return_last_state: bool) -> Any:
    """Return the result of selective_scan_fn: the output, with the final state if requested."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    return selective_scan_fn(
        u.flatten(2).transpose(1, 2),
        dt.flatten(2).transpose(1, 2),
        A.transpose(1, 2).flatten(0, 1),  # [H V, K]
        B.transpose(1, 2),
        C.transpose(1, 2),
        D.flatten(),
        return_last_state=return_last_state,
    )
