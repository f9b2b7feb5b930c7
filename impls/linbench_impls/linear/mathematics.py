"""What the torch forms of linear attention share: feature maps, the parallel form, where sums are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = tuple["Tensor", ...]
"""S [B, H, K, V] and z [B, H, K]."""

EPSILON = 1e-6
FEATURE_MAPS = ("elu1", "relu", "identity")


def feature_map(x: Tensor, name: str) -> Tensor:
    """Return phi(x) element by element: elu(x) + 1, max(x, 0) or x.

    Raises:
        ValueError: The name is none of `FEATURE_MAPS`.
    """
    import torch.nn.functional as F

    if name == "elu1":
        return F.elu(x) + 1
    if name == "relu":
        return F.relu(x)
    if name == "identity":
        return x
    raise ValueError(f"feature_map {name!r} is not one of {', '.join(FEATURE_MAPS)}")


def sum_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which sums over tokens are kept: float32, or float64 for float64 inputs."""
    import torch

    return torch.promote_types(x.dtype, torch.float32)


def parallel(q: Tensor, k: Tensor, v: Tensor, normalize: bool, state: State | None = None) -> Tensor:
    """Return tril(Q K^T) V, rows normalised, [B, H, T, V]; quadratic in T.

    Scores are kept in the input dtype, their row sums in float32 (float64 for float64).

    Args:
        q: phi(Q), [B, H, T, K].
        k: phi(K), [B, H, T, K].
        v: [B, H, T, V].
        normalize: Divide row t by phi(q_t) . z_t + 1e-6.
        state: S [B, H, K, V] and z [B, H, K] before the first token.
    """
    exact = sum_dtype(q)
    scores = (q @ k.transpose(-1, -2)).tril()  # [B, H, T, T]
    o = scores @ v
    if state is not None:
        o = o + q.to(exact) @ state[0].to(exact)
    if normalize:
        rows = scores.sum(-1, keepdim=True, dtype=exact)
        if state is not None:
            rows = rows + q.to(exact) @ state[1][..., None].to(exact)
        o = o / (rows + EPSILON)
    return o.to(v.dtype)


def last_state(k: Tensor, v: Tensor, state: State | None = None) -> State:
    """Return S = K^T V and z = sum_t k_t after the last token, in float32 (float64 for float64).

    Args:
        k: phi(K), [B, H, T, K].
        v: [B, H, T, V].
        state: S [B, H, K, V] and z [B, H, K] before the first token.
    """
    exact = sum_dtype(k)
    S, z = k.transpose(-1, -2).to(exact) @ v.to(exact), k.sum(-2, dtype=exact)
    return (S, z) if state is None else (S + state[0], z + state[1])
