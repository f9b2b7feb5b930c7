"""Calls linear_attention.cpp on tensors; forward and backward are also registered as torch operators."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linbench_kernels.cpu import compile as cpp

SOURCE = Path(__file__).with_name("linear_attention.cpp")
FEATURE_MAPS = ("elu1", "relu", "identity")  # in the order of FeatureMap in problem.h
MIN_SEGMENT = 256  # tokens; the extra pass over the states costs more than shorter segments gain

DRIFT = 64  # tokens after which the sum for the gradient of decays restarts; as in problem.h

_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


def threads() -> int:
    """Returns torch's number of threads, or 1 in a forked child, whose thread pool has no threads."""
    return 1 if _forked else torch.get_num_threads()


def segment_length(T: int, heads: int, threads: int) -> int:
    """Returns the tokens per segment: all of T unless there are too few heads to keep the threads busy.

    With segments the state is computed twice, which costs about 0.4 of a forward pass.
    """
    rounds = -(-heads // threads)
    if rounds * threads < 1.5 * heads:
        return T
    return min(T, max(MIN_SEGMENT, -(-T * heads // (2 * threads))))


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    S: Tensor | None,
    z: Tensor | None,
    feature_map: str,
    normalize: bool,
    needs_state: bool,
    needs_reciprocals: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns o, S and z after the last token, and the reciprocals [B, H, T] of the denominators.

    A result that is not needed is an empty tensor.
    """
    q, k, v, S, z = _rows(q), _rows(k), _rows(v), _dense(S), _dense(z)
    results = _forward_results(q, k, v, normalize, needs_state, needs_reciprocals)
    o, *rest = results
    fields = _fields(q, k, v, o, log_decay, feature_map, normalize)
    _run("forward", fields + _addresses(S, z, *rest))
    return results


def backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor | None,
    log_decay: Tensor | None,
    S: Tensor | None,
    z: Tensor | None,
    reciprocals: Tensor | None,
    do: Tensor,
    dS: Tensor | None,
    dz: Tensor | None,
    feature_map: str,
    normalize: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k, v and of the initial S and z, the products, and the flows.

    The products [2, B, H, T] are phi(q) . dphi(q) and phi(k) . dphi(k), without the contribution of a token
    to itself; the flows [B, H, (T - 1) // DRIFT] are the gradients of the log-decays of the tokens DRIFT, 2
    DRIFT, ... The gradient of all log-decays is computed from both. dS and dz are the gradients of the final
    state. The gradient of an argument that is None is empty.
    """
    q, k, v, S, z = _rows(q), _rows(k), _rows(v), _dense(S), _dense(z)
    do, dS, dz = _rows(do), _dense(dS), _dense(dz)
    results = _backward_results(q, k, v, o, log_decay, S, z)
    *rows, first_dS, first_dz, products, flows = results
    fields = _fields(q, k, v, o, log_decay, feature_map, normalize)
    fields += _addresses(S, z, None, None, reciprocals)
    for x in (do, *rows):
        fields += _strided(x)
    dq_products, dk_products = products if products.numel() else (None, None)
    _run("backward", fields + _addresses(dS, dz, first_dS, first_dz, dq_products, dk_products, flows))
    return results


def decode(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    S: Tensor,
    z: Tensor,
    new_S: Tensor,
    new_z: Tensor,
    feature_map: str,
    normalize: bool,
) -> Tensor:
    """Returns o of one token, and writes the state after it to new_S and new_z, which may be S and z."""
    q, k, v = _rows(q), _rows(k), _rows(v)
    o = v.new_empty(v.shape)
    fields = _fields(q, k, v, o, log_decay, feature_map, normalize)
    _run("decode", fields + _addresses(_dense(S), _dense(z), new_S, new_z))
    return o


def _forward_results(q: Tensor, k: Tensor, v: Tensor, *options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `forward`."""
    *_, normalize, needs_state, needs_reciprocals = options
    (B, T, H, K), V = k.shape, v.shape[3]
    return (
        q.new_empty(B, T, H, V),
        q.new_empty((B, H, K, V) if needs_state else 0),
        q.new_empty((B, H, K) if needs_state else 0),
        q.new_empty((B, H, T) if normalize and needs_reciprocals else 0),
    )


def _backward_results(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    _o: Tensor | None,
    log_decay: Tensor | None,
    S: Tensor | None,
    z: Tensor | None,
    *_options: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns uninitialised tensors for the results of `backward`."""
    B, T, H, _ = q.shape
    return (
        q.new_empty(q.shape),
        q.new_empty(k.shape),
        q.new_empty(v.shape),
        q.new_empty(0 if S is None else S.shape),
        q.new_empty(0 if z is None else z.shape),
        q.new_empty(0 if log_decay is None else (2, B, H, T)),
        q.new_empty(0 if log_decay is None else (B, H, (T - 1) // DRIFT)),
    )


def _register_operator(function: Callable[..., Any], fake: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function registered as a torch operator, for torch.compile; a direct call costs less."""
    name = f"linbench_kernels::linear_attention_{function.__name__}"
    operator = torch.library.custom_op(name, function, mutates_args=())
    operator.register_fake(fake)
    return operator


forward_operator = _register_operator(forward, _forward_results)
backward_operator = _register_operator(backward, _backward_results)


def _fields(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor | None,
    log_decay: Tensor | None,
    feature_map: str,
    normalize: bool,
) -> list[int]:
    """Returns the first fields of struct Problem; all fields are 64 bits wide."""
    B, T, H, K = q.shape
    team = threads()
    fields = [B, T, H, K, v.shape[3], FEATURE_MAPS.index(feature_map), normalize, team]
    fields += [segment_length(T, B * H, team), *_strided(q), *_strided(k), *_strided(v), *_strided(o)]
    if log_decay is not None and log_decay.dim() == 1:
        return [*fields, log_decay.data_ptr(), 0, 0, log_decay.stride(0)]
    return fields + _strided(log_decay)


def _strided(x: Tensor | None) -> list[int]:
    return [0, 0, 0, 0] if x is None else [x.data_ptr(), *x.stride()[:3]]


def _addresses(*tensors: Tensor | None) -> list[int]:
    """Returns the addresses of dense tensors; the address of None and of an empty tensor is 0."""
    return [0 if x is None or x.numel() == 0 else x.data_ptr() for x in tensors]


_Problem = ctypes.c_int64 * 58


def _run(name: str, fields: list[int]) -> None:
    """Calls a function of the library; the remaining fields of the struct are null."""
    if _function(name)(_Problem(*fields)):
        raise MemoryError(f"linear_attention_{name} could not allocate its working memory")


@cache
def _function(name: str) -> Callable[..., int]:
    library = cpp.load_library(SOURCE, cpp.variant())
    function: Callable[..., int] = getattr(library, f"linear_attention_{name}")
    return function


def _rows(x: Tensor) -> Tensor:
    """Returns x with contiguous rows."""
    return x if x.stride(3) == 1 else x.contiguous()


def _dense(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()
