"""Functions of linear with its options as keywords, from forms of (q, k, v, phi, normalize, state)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from linbench.core.implementation import Function
from linbench_impls.toolkit.varlen import map_sequences

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]
"""S [B, H, K, V] and z [B, H, K]."""


def with_options(form: Callable[..., Any]) -> Function:
    """Return the function of a mode, with options and state as keywords, for a form."""

    def call(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        feature_map: str = "elu1",
        normalize: bool = True,
        state: State | None = None,
    ) -> Any:
        return form(q, k, v, feature_map, normalize, state)

    call.__doc__ = form.__doc__
    return call


def fwd_per_sequence(form: Callable[..., tuple[Tensor, State]], axis: int) -> Function:
    """Return the function of fwd for a form that computes one sequence; `axis` is the axis of tokens."""

    def fwd(
        q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None, varlen: int
    ) -> Tensor:
        return map_sequences(lambda q, k, v: form(q, k, v, phi, normalize, state)[0], (q, k, v), varlen, axis)

    fwd.__doc__ = form.__doc__
    return with_varlen(fwd)


def with_varlen(form: Callable[..., Tensor]) -> Function:
    """Return the function of fwd for a form with a last argument varlen, the number of sequences."""

    def call(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        feature_map: str = "elu1",
        normalize: bool = True,
        state: State | None = None,
        varlen: int = 1,
    ) -> Tensor:
        return form(q, k, v, feature_map, normalize, state, varlen)

    call.__doc__ = form.__doc__
    return call
