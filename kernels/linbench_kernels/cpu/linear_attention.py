"""Causal linear attention in C++ on the CPU: checks, segments, and the calls of linear_attention.cpp."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from linbench_kernels.cpu import compile as cpp

State = tuple[Tensor, Tensor]

SOURCE = Path(__file__).with_name("linear_attention.cpp")
FEATURE_MAPS = ("elu1", "relu", "identity")
DTYPES = (torch.float32,)
MIN_SEGMENT = 256  # tokens; below it summing the states apart outweighs the parallelism gained

_NO_TENSOR = (0, 0, 0, 0)
_Words = ctypes.c_int64 * 56  # struct Problem, all of whose fields are 64 bits wide
_forked = False  # a child of a fork has the parent's thread pool but none of its threads


def _note_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


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
    """Returns the outputs of causal linear attention, differentiable in every tensor.

    S_t = e^g_t S_{t-1} + phi(k_t) v_t^T, z_t = e^g_t z_{t-1} + phi(k_t),
    o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).
    """
    _check(q, k, v, feature_map, log_decay, state)
    S, z = state if state is not None else (None, None)
    o: Tensor = _apply(q, k, v, log_decay, S, z, feature_map, normalize, False)[0]
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
    """Returns the outputs as `linear_attention` does, and the state (S, z) after the last token."""
    _check(q, k, v, feature_map, log_decay, state)
    S, z = state if state is not None else (None, None)
    o, S, z = _apply(q, k, v, log_decay, S, z, feature_map, normalize, True)
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
    """Returns the output of one more token and the state after it."""
    _check(q, k, v, feature_map, log_decay, state)
    q, k, v = _rows(q), _rows(k), _rows(v)
    S, z = state[0].contiguous(), state[1].contiguous()
    new_S, new_z = out if out is not None else (torch.empty_like(S), torch.empty_like(z))
    o = torch.empty(v.shape)
    _call("decode", q, k, v, o, feature_map, normalize, log_decay, 1, (S, z), (new_S, new_z))
    return o, (new_S, new_z)


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
        final: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        q, k, v = _rows(q), _rows(k), _rows(v)
        S, z = (None, None) if S is None or z is None else (S.contiguous(), z.contiguous())
        B, T, H, K = q.shape
        V = v.shape[3]
        o = torch.empty(B, T, H, V)
        reciprocals = torch.empty(B, H, T) if normalize and any(ctx.needs_input_grad) else None
        final_S, final_z = (torch.empty(B, H, K, V), torch.empty(B, H, K)) if final else (None, None)
        segment = segment_length(T, B * H, _threads())
        _call(
            "forward", q, k, v, o, feature_map, normalize, log_decay, segment,
            (S, z), (final_S, final_z), reciprocals,
        )  # fmt: skip
        ctx.set_materialize_grads(False)
        kept = (final_S, final_z) if log_decay is not None and ctx.needs_input_grad[3] else (None, None)
        ctx.save_for_backward(q, k, v, log_decay, S, z, o if normalize else None, reciprocals, *kept)
        ctx.options = feature_map, normalize
        return o, final_S, final_z

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, do: Tensor | None, dS_out: Tensor | None, dz_out: Tensor | None
    ) -> tuple[Any, ...]:
        q, k, v, log_decay, S, z, o, reciprocals, final_S, final_z = ctx.saved_tensors
        B, T, H, K = q.shape
        do = torch.zeros(v.shape) if do is None else _rows(do)
        if dS_out is not None or dz_out is not None:
            dS_out = torch.zeros(B, H, K, v.shape[3]) if dS_out is None else dS_out.contiguous()
            dz_out = torch.zeros(B, H, K) if dz_out is None else dz_out.contiguous()
        dq, dk, dv = torch.empty(q.shape), torch.empty(k.shape), torch.empty(v.shape)
        dS, dz = (None, None) if S is None else (torch.empty_like(S), torch.empty_like(z))
        products = torch.empty(2, B, H, T) if ctx.needs_input_grad[3] else None
        feature_map, normalize = ctx.options
        segment = segment_length(T, B * H, _threads())
        _call(
            "backward", q, k, v, o, feature_map, normalize, log_decay, segment,
            (S, z), (None, None), reciprocals, (do, dq, dk, dv), (dS_out, dz_out), (dS, dz), products,
        )  # fmt: skip
        dlog_decay = None
        if products is not None:
            # dg_t sums phi(q) . dphi(q) - phi(k) . dphi(k) from t on, and the final state's own share.
            shares = (products[0].double() - products[1]).flip(2).cumsum(2).flip(2)
            if dS_out is not None:
                shares += (dS_out * final_S).sum((2, 3), dtype=torch.float64)[..., None]
                shares += (dz_out * final_z).sum(2, dtype=torch.float64)[..., None]
            shares = shares.transpose(1, 2) if log_decay.dim() == 3 else shares.sum((0, 2))
            dlog_decay = shares.to(log_decay.dtype)
        return dq, dk, dv, dlog_decay, dS, dz, None, None, None


_apply: Callable[..., Any] = _LinearAttention.apply  # torch gives it no type


def segment_length(T: int, heads: int, threads: int) -> int:
    """Returns the tokens of a segment: all of T unless the heads leave threads idle for long."""
    rounds = -(-heads // threads)
    if rounds * threads < 1.5 * heads:
        return T
    return min(T, max(MIN_SEGMENT, -(-T * heads // (2 * threads))))


def _threads() -> int:
    return 1 if _forked else torch.get_num_threads()


def _call(
    name: str,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor | None,
    feature_map: str,
    normalize: bool,
    log_decay: Tensor | None,
    segment: int,
    state: tuple[Tensor | None, Tensor | None],
    final: tuple[Tensor | None, Tensor | None],
    reciprocals: Tensor | None = None,
    gradients: tuple[Tensor, ...] = (),
    final_gradient: tuple[Tensor | None, ...] = (),
    state_gradient: tuple[Tensor | None, ...] = (),
    products: Tensor | None = None,
) -> None:
    """Calls one function of the library; its fields follow struct Problem."""
    B, T, H, K = q.shape
    decays: tuple[int, ...] = _NO_TENSOR
    if log_decay is not None:
        strides = (0, 0, log_decay.stride(0)) if log_decay.dim() == 1 else log_decay.stride()
        decays = (log_decay.data_ptr(), *strides)
    first, second = (products[0].data_ptr(), products[1].data_ptr()) if products is not None else (0, 0)
    words = _Words(
        *(B, T, H, K, v.shape[3], FEATURE_MAPS.index(feature_map), normalize, _threads(), segment),
        *(*_tensor(q), *_tensor(k), *_tensor(v), *_tensor(o), *decays),
        *map(_address, (*state, *final, reciprocals)),
        *(word for x in gradients for word in _tensor(x)),
        *map(_address, (*final_gradient, *state_gradient)),
        *(first, second),
    )
    if _function(name)(words):
        raise MemoryError(f"linear_attention_{name} could not allocate its working memory")


@cache
def _function(name: str) -> Callable[..., int]:
    function: Callable[..., int] = getattr(
        cpp.load_library(SOURCE, cpp.variant()), f"linear_attention_{name}"
    )
    return function


def _tensor(x: Tensor | None) -> tuple[int, ...]:
    return _NO_TENSOR if x is None else (x.data_ptr(), *x.stride()[:3])


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def _rows(x: Tensor) -> Tensor:
    """Returns x with contiguous rows."""
    return x if x.stride(3) == 1 else x.contiguous()


def _check(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, log_decay: Tensor | None, state: State | None
) -> None:
    """Raises if the arguments are not what `linear_attention` allows."""
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"feature_map is {feature_map!r}; allowed: {', '.join(FEATURE_MAPS)}.")
    if q.dim() != 4 or q.shape != k.shape or v.dim() != 4 or v.shape[:3] != q.shape[:3] or not v.numel():
        given = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"shapes are {given}; allowed: q and k [B, T, H, K], v [B, T, H, V], none empty.")
    (B, T, H, K), V = q.shape, v.shape[3]
    named = {"q": q, "k": k, "v": v}
    if state is not None:
        S, z = named["S"], named["z"] = state
        if S.shape != (B, H, K, V) or z.shape != (B, H, K):
            given = f"S {tuple(S.shape)}, z {tuple(z.shape)}"
            raise ValueError(f"state is {given}; allowed: S {(B, H, K, V)}, z {(B, H, K)}.")
    if log_decay is not None:
        named["log_decay"] = log_decay
        if log_decay.shape not in ((H,), (B, T, H)):
            given = f"log_decay is {tuple(log_decay.shape)}"
            raise ValueError(f"{given}; allowed: {(H,)}, one for each head, or {(B, T, H)}.")
    for name, x in named.items():
        if x.dtype not in DTYPES or x.device.type != "cpu":
            raise ValueError(f"{name} is {x.dtype} on {x.device}; allowed: torch.float32 on the CPU.")
