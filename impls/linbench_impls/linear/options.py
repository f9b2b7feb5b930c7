"""How the options of linear reach a form, which takes (q, k, v, phi, normalize, state)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from linbench.core.implementation import Function
from linbench_impls.toolkit.varlen import each

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor"]
"""S [B, H, K, V] and z [B, H, K]."""


def with_options(form: Callable[..., Any]) -> Function:
    """Return the function of a mode: a form with options and state as keywords."""

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


def one_by_one(form: Callable[..., tuple[Tensor, State]], axis: int) -> Function:
    """Return the function of fwd: the output of a form, varlen sequences one by one, tokens along an axis."""

    def whole(
        q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None, varlen: int
    ) -> Tensor:
        return each(lambda q, k, v: form(q, k, v, phi, normalize, state)[0], (q, k, v), varlen, axis)

    whole.__doc__ = form.__doc__
    return with_varlen(whole)


def with_varlen(form: Callable[..., Tensor]) -> Function:
    """Return the function of fwd: a form that also takes packed, the sequences in a row, after the state."""

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
