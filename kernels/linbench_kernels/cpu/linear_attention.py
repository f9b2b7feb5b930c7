"""Causal linear attention in C++ on the CPU: forward, gradients, prefill and decode."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.cpu import calls

State = tuple[Tensor, Tensor]

DTYPES = (torch.float32,)


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    log_decay: Tensor | None = None,
    state: State | None = None,
) -> Tensor:
    """Returns o [B, T, H, V] of causal linear attention, differentiable in every tensor.

    S_t = e^(g_t) S_{t-1} + phi(k_t) v_t^T,  z_t = e^(g_t) z_{t-1} + phi(k_t),
    o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6);  g = 0 without `log_decay`; no denominator without
    `normalize`.

    Each head is processed in chunks of C = 16 tokens with its state in cache. Heads are distributed over
    torch's threads, and so are segments of T if there are too few heads: the last bits may depend on the
    number of threads. All sums are float32; the state is a Kahan sum over chunks. The backward pass saves q,
    k, v, o and one number per row, and with `log_decay` allocates the state of every 64th token.
    `linbench_kernels.cpu.work` counts the operations of both passes.

    Args:
        q: Queries [B, T, H, K], float32; any sizes and strides.
        k: Keys [B, T, H, K].
        v: Values [B, T, H, V].
        feature_map: phi: "elu1" (elu(x) + 1), "relu" or "identity".
        normalize: Whether to divide by the denominator.
        log_decay: g <= 0: [H], one per head, or [B, T, H]; -inf clears the state.
        state: S [B, H, K, V] and z [B, H, K] before the first token; zeros if None.

    Raises:
        ValueError: A shape, dtype, device or feature map is not supported.
        NotImplementedError: No C++ compiler is installed.

    Source: Katharopoulos et al., "Transformers are RNNs", ICML 2020; decays: Dao and Gu, "Transformers are
    SSMs", ICML 2024.
    """
    _check(q, k, v, feature_map, log_decay, state)
    o: Tensor = _apply(q, k, v, log_decay, *(state or (None, None)), feature_map, normalize, False)[0]
    return o


def linear_attention_prefill(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    log_decay: Tensor | None = None,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """Returns o as `linear_attention` does, and the state (S, z) after the last token, both differentiable.

    The equation, arguments and errors are those of `linear_attention`.
    """
    _check(q, k, v, feature_map, log_decay, state)
    o, S, z = _apply(q, k, v, log_decay, *(state or (None, None)), feature_map, normalize, True)
    return o, (S, z)


def linear_attention_decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    state: State,
    *,
    feature_map: str = "elu1",
    normalize: bool = True,
    log_decay: Tensor | None = None,
    out: State | None = None,
) -> tuple[Tensor, State]:
    """Returns o [B, 1, H, V] of one more token and the state (S, z) after it; not differentiable.

    The equation is that of `linear_attention` with T = 1. The state is read once and written once:
    8 K (V + 1) bytes and 4 K V FLOP per head.

    Args:
        q: Query [B, 1, H, K], float32.
        k: Key [B, 1, H, K].
        v: Value [B, 1, H, V].
        state: S [B, H, K, V] and z [B, H, K] before the token.
        feature_map: phi: "elu1", "relu" or "identity".
        normalize: Whether to divide by the denominator.
        log_decay: g <= 0: [H] or [B, 1, H].
        out: Contiguous tensors for the state after the token; pass `state` to update it in place. New tensors
            if None.

    Raises:
        ValueError: A shape, dtype, device or feature map is not supported, or T > 1.
        RuntimeError: An input requires a gradient.
        NotImplementedError: No C++ compiler is installed.
    """
    _check(q, k, v, feature_map, log_decay, state)
    if q.shape[1] != 1:
        raise ValueError(f"decode supports only T = 1; q has T = {q.shape[1]}: use linear_attention_prefill.")
    S, z = state
    if torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v, S, z)):
        raise RuntimeError("linear_attention_decode has no gradient; call it under torch.no_grad().")
    if out is None:
        out = torch.empty(S.shape), torch.empty(z.shape)
    elif any(x.shape != y.shape or not x.is_contiguous() for x, y in zip(out, state, strict=True)):
        shapes = [tuple(x.shape) for x in out]
        raise ValueError(f"out has shapes {shapes}; allowed: contiguous tensors with the shapes of state.")
    return calls.decode(q, k, v, log_decay, S, z, *out, feature_map, normalize), out


class _LinearAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor | None,
        S: Tensor | None,
        z: Tensor | None,
        feature_map: str,
        normalize: bool,
        needs_state: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        run = calls.forward_operator if torch.compiler.is_compiling() else calls.forward
        gradient = any(ctx.needs_input_grad)
        o, new_S, new_z, reciprocals = run(
            q, k, v, log_decay, S, z, feature_map, normalize, needs_state, gradient
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(q, k, v, o, log_decay, S, z, reciprocals, new_S, new_z)
        ctx.options = feature_map, normalize
        return o, new_S, new_z

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, do: Tensor | None, dS: Tensor | None, dz: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        q, k, v, o, log_decay, S, z, reciprocals, new_S, new_z = ctx.saved_tensors
        run = calls.backward_operator if torch.compiler.is_compiling() else calls.backward
        do = torch.zeros_like(o) if do is None else do
        if new_S.numel() == 0:  # not requested: torch.compile passes zeros as their gradients
            dS = dz = None
        elif dS is not None or dz is not None:
            dS, dz = (torch.zeros_like(x) if dx is None else dx for dx, x in ((dS, new_S), (dz, new_z)))
        dq, dk, dv, first_dS, first_dz, products, flows = run(
            q, k, v, o, log_decay, S, z, reciprocals, do, dS, dz, *ctx.options
        )
        gradients = dq, dk, dv, None, *((None, None) if S is None else (first_dS, first_dz))
        if log_decay is not None:
            final = None if dS is None else (dS * new_S).sum((2, 3)) + (dz * new_z).sum(2)
            gradients = *gradients[:3], _decay_gradient(products, flows, final, log_decay), *gradients[4:]
        return *gradients, None, None, None


_apply: Callable[..., Any] = _LinearAttention.apply  # torch does not annotate it


def _decay_gradient(products: Tensor, flows: Tensor, final: Tensor | None, log_decay: Tensor) -> Tensor:
    """Returns dg_t = sum_{t <= i < b} (phi(q_i) . dphi(q_i) - phi(k_i) . dphi(k_i)) + dg_b.

    b is the next multiple of DRIFT tokens, whose dg is one of the flows, or T, with dg_T = dS . S + dz . z. A
    sum over all tokens would keep the rounding errors of every later token.

    Every path from a key to a query or to the final state is subject to the decays between the two. The
    products leave out the path from a token to itself, which has no decay: its two terms would cancel and
    leave their rounding errors, which are by far the largest under strong decay.
    """
    tokens = products.shape[3]
    last = flows.new_zeros(*flows.shape[:2], 1) if final is None else final[..., None]
    differences = F.pad(products[0].double() - products[1], (0, -tokens % calls.DRIFT))
    sums = differences.unflatten(2, (-1, calls.DRIFT)).flip(3).cumsum(3).flip(3)  # [B, H, N, DRIFT]
    gradient: Tensor = (sums + torch.cat([flows, last], 2)[..., None]).flatten(2)[..., :tokens]
    gradient = gradient.transpose(1, 2) if log_decay.dim() == 3 else gradient.sum((0, 2))
    return gradient.to(log_decay.dtype)


def _check(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, log_decay: Tensor | None, state: State | None
) -> None:
    """Raises if `linear_attention` does not support the arguments."""
    if feature_map not in calls.FEATURE_MAPS:
        raise ValueError(f"feature_map is {feature_map!r}; allowed: {', '.join(calls.FEATURE_MAPS)}.")
    if q.dim() != 4 or q.shape != k.shape or v.dim() != 4 or v.shape[:3] != q.shape[:3]:
        shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"shapes are {shapes}; allowed: q and k [B, T, H, K], v [B, T, H, V].")
    (B, T, H, K), V = q.shape, v.shape[3]
    if min(B, T, H, K, V) < 1:
        raise ValueError(f"sizes are B = {B}, T = {T}, H = {H}, K = {K}, V = {V}; allowed: 1 or more.")
    tensors = [("q", q), ("k", k), ("v", v)]
    if state is not None:
        S, z = state
        if S.shape != (B, H, K, V) or z.shape != (B, H, K):
            shapes = f"S {tuple(S.shape)}, z {tuple(z.shape)}"
            raise ValueError(f"state is {shapes}; allowed: S {(B, H, K, V)}, z {(B, H, K)}.")
        tensors += [("S", S), ("z", z)]
    if log_decay is not None:
        if log_decay.shape not in ((H,), (B, T, H)):
            shape = tuple(log_decay.shape)
            raise ValueError(f"log_decay is {shape}; allowed: {(H,)}, one per head, or {(B, T, H)}.")
        tensors.append(("log_decay", log_decay))
    for name, x in tensors:
        if x.dtype not in DTYPES or x.device.type != "cpu":
            raise ValueError(f"{name} is {x.dtype} on {x.device}; allowed: torch.float32 on the CPU.")
