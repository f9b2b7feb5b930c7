"""Operator gla: one data-dependent gate per key dimension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.families.dplr.operator import DPLR
from linbench_impls.families.dplr.parametrization import Arguments, Parametrization
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import GATES, INITIAL_STATE, QKV, State, gate_shift

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFTS = (0.0, 5.0, -60.0)
TEMPERATURE = 16


def arguments(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Arguments:
    """Return the arguments of one gate per key dimension, without a low-rank part."""
    return q * q.shape[-1] ** -0.5, k, v, g, None


@operator
class GLA(DPLR):
    """Gated linear attention.

    S_t = diag(exp g_t) S_{t-1} + k_t v_t^T, o_t = K^-1/2 S_t^T q_t; q, k: [B, T, H, K]; v, o: [B, T, H, V];
    S: [B, H, K, V], float32; g: [B, T, H, K], log-decays <= 0, float32, drawn as log sigmoid(x + a) / 16 with
    x normal and a = 0 (a median step keeps 96%), 5 (99.96%) or -60 (2.4%).
    """

    name = "gla"
    title = "Linear attention with one gate per key dimension"
    source = "Yang et al. 2023, Gated Linear Attention Transformers, arXiv:2312.06635"
    inputs = (*QKV, TensorSpec("g", "BTHK", at_least_float32=True))
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE, "gates": GATES}
    parametrization = Parametrization(arguments, gates="key", low_rank=False)

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and gates log sigmoid(x + a) / 16."""
        if spec.name == "g":
            return gates(shape, generator, options)
        return super().draw(spec, shape, generator, options)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S with its variance after random keys and values, 1 / (1 - mean of exp 2g)."""
        squared_decay = gates((4096,), generator, self.option_values(case)).mul(2).exp().mean()
        return self.scaled_state(case, generator, (1 / (1 - squared_decay)).expand(case.H))

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        S = token["g"].exp()[..., None] * state[0] + torch.einsum("bhk,bhv->bhkv", token["k"], token["v"])
        return torch.einsum("bhkv,bhk->bhv", S, token["q"]) * token["q"].shape[-1] ** -0.5, (S,)

    def least_flops(self, case: Case) -> float:
        """Return the operations of the cheaper of the recurrent and the parallel form."""
        return flops.least(case, case.K, case.V)


def gates(shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]) -> Tensor:
    """Return random log-decays."""
    import torch.nn.functional as F

    from linbench.core.tensor import normal

    return F.logsigmoid(normal(shape, generator) + gate_shift(options, SHIFTS)) / TEMPERATURE
