"""Operator rwkv7: vector decay, a removal key, and one learning rate per key dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.tensor import normal
from linbench_impls.families.dplr.operator import DPLR
from linbench_impls.families.dplr.parametrization import Arguments, Parametrization
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import (
    GATES,
    INITIAL_STATE,
    QKV,
    State,
    gate_shift,
    keys_of_unit_length,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFTS = (-2.0, -8.0, 8.0)


def arguments(q: Tensor, k: Tensor, v: Tensor, g: Tensor, kappa: Tensor, alpha: Tensor) -> Arguments:
    """Return a = -kappa and b = alpha kappa, with unchanged keys and no scale."""
    return q, k, v, g, (-kappa, alpha * kappa)


@operator
class RWKV7(DPLR):
    """The time mixing of RWKV-7, without token shift, bonus and norm.

    S_t = diag(exp g_t) S_{t-1} - alpha_t kappa_t (kappa_t^T S_{t-1}) + k_t v_t^T, o_t = S_t^T q_t, no scale;
    q, k, kappa, alpha: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, K, V], float32; |kappa_t| = 1, alpha is
    the sigmoid of a normal variable. g: [B, T, H, K], float32, is -exp(-1/2) sigmoid(x + a) with x normal and
    a = -2 (a median step keeps 93%), -8 (99.98%) or 8 (54.5%, the minimum).
    """

    name = "rwkv7"
    title = "RWKV-7: vector decay and a generalised delta rule"
    source = "Peng et al. 2025, RWKV-7 Goose, arXiv:2503.14456"
    inputs = (
        *QKV,
        TensorSpec("g", "BTHK", at_least_float32=True),
        TensorSpec("kappa", "BTHK"),
        TensorSpec("alpha", "BTHK"),
    )
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "gates": GATES}
    parametrization = Parametrization(arguments, gates="key")

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, removal keys of length 1, rates in (0, 1) and gates."""
        if spec.name == "g":
            return -math.exp(-0.5) * (normal(shape, generator) + gate_shift(options, SHIFTS)).sigmoid()
        if spec.name == "kappa":
            return keys_of_unit_length(normal(shape, generator))
        if spec.name == "alpha":
            return normal(shape, generator).sigmoid()
        return super().draw(spec, shape, generator, options)

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        S, kappa = state[0], token["kappa"]
        removal = torch.einsum(
            "bhk,bhv->bhkv", token["alpha"] * kappa, torch.einsum("bhkv,bhk->bhv", S, kappa)
        )
        S = token["g"].exp()[..., None] * S - removal
        S = S + torch.einsum("bhk,bhv->bhkv", token["k"], token["v"])
        return torch.einsum("bhkv,bhk->bhv", S, token["q"]), (S,)

    def least_flops(self, case: Case) -> float:
        """Return 8KV per token: the state's value for a key, its removal, the new product and the readout."""
        return flops.recurrent(case, case.K, case.V, products=4)
