"""DPLR: base class of operators with a diagonal plus low-rank transition: reference, inputs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option
from linbench.core.case import Scalar
from linbench.core.tensor import TensorSpec, normal
from linbench_impls.families.dplr import forms
from linbench_impls.families.dplr.parametrization import Parametrization
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import (
    GATES,
    INITIAL_STATE,
    Recurrence,
    State,
    keys_of_unit_length,
    softplus_gates,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor

BETA = TensorSpec("beta", "BTH")
NEGATIVE = Option(
    False, (True, False), "beta in (0, 2), so that eigenvalues may be negative; else (0, 1)", of_inputs=True
)


class DPLR(Recurrence):
    """An operator with a diagonal plus low-rank transition.

    A subclass defines `parametrization`, `step` and the attributes of every operator.

    Attributes:
        parametrization: Mapping from the inputs to the recurrence.
    """

    parametrization: ClassVar[Parametrization]

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk."""
        return forms.in_chunks(self.parametrization, *tensors, state=state)


class DeltaRule(DPLR):
    """Each token corrects the state: S_t = S' + beta_t k_t (v_t - S'^T k_t)^T, S' = G_t S_{t-1}.

    o_t = K^-1/2 S_t^T q_t, |k_t| = 1 whatever the magnitude; q, k: [B, T, H, K]; v, o: [B, T, H, V]; beta:
    [B, T, H], the sigmoid of a normal variable, or twice that; S: [B, H, K, V], float32.
    """

    options: ClassVar[Mapping[str, Option]] = {
        "initial_state": INITIAL_STATE,
        "negative_eigenvalues": NEGATIVE,
    }

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q and v, keys of length 1, and beta."""
        if spec.name == "k":
            return keys_of_unit_length(normal(shape, generator))
        if spec is BETA:
            return normal(shape, generator).sigmoid() * (2 if options["negative_eigenvalues"] else 1)
        return super().draw(spec, shape, generator, options)

    def apply_gate(self, S: Tensor, token: Mapping[str, Tensor]) -> Tensor:
        """Return the state before its correction, S' = G S: S itself if there is no gate."""
        del token
        return S

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        q, k, v, beta = (token[name] for name in ("q", "k", "v", "beta"))
        S = self.apply_gate(state[0], token)
        error = v - torch.einsum("bhkv,bhk->bhv", S, k)
        S = S + torch.einsum("bh,bhk,bhv->bhkv", beta, k, error)
        return torch.einsum("bhkv,bhk->bhv", S, q) * q.shape[-1] ** -0.5, (S,)

    def least_flops(self, case: Case) -> float:
        """Return 6KV per token: the state's value for a key, its correction and the readout."""
        return flops.recurrent(case, case.K, case.V, products=3)


class GatedDeltaRule(DeltaRule):
    """A delta rule with gates g, log-decays <= 0 in float32, drawn as those of simple_gla."""

    options: ClassVar[Mapping[str, Option]] = {**DeltaRule.options, "gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random inputs, including the gates."""
        if spec.name == "g":
            return softplus_gates(shape, generator, options)
        return super().draw(spec, shape, generator, options)
