"""FeatureMapped: what is common to linear attention with a feature map that stands in for softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Expected, Inputs, Option
from linbench.core.operator import magnitude
from linbench.core.tensor import normal
from linbench_impls.families.features.map import FEATURES, FeatureMap, features
from linbench_impls.toolkit import flops, normalizer
from linbench_impls.toolkit.recurrence import INITIAL_STATE, QKV, Recurrence, State
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

STATE_TOKENS = 64


class FeatureMapped(Recurrence):
    """Normalised linear attention with a feature map of M features.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).
    q, k: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, M, V] and z: [B, H, M], float32. A row has two errors:
    of the implementation against this definition, and of this definition against softmax.

    Attributes:
        feature_map: phi; its parameters are the inputs after q, k and v.
    """

    kind = "approximation"
    approximates = "softmax"
    inputs = QKV
    state = (
        SizedSpec("S", "BHMV", sizes={"M": features}),
        SizedSpec("z", "BHM", sizes={"M": features}),
    )
    options: ClassVar[Mapping[str, Option]] = {"features": FEATURES, "initial_state": INITIAL_STATE}
    feature_map: ClassVar[FeatureMap]

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S and z as 64 random tokens leave them, as often as makes T."""
        options = self.option_values(case)
        parameters = [
            self.draw(spec, spec.shape(case, 1), generator, options)
            for spec in self.inputs
            if spec.name not in ("q", "k", "v")
        ]
        shape, size = (case.B, case.H, STATE_TOKENS), magnitude(options)
        k = self.feature_map.phi(normal((*shape, case.K), generator) * size, *parameters)
        v = normal((*shape, case.V), generator) * size
        repeated = case.T / STATE_TOKENS
        return repeated * k.transpose(-1, -2) @ v, repeated * k.sum(-2)

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk after chunk."""
        q, k, v, *parameters = tensors
        q, k = (self.feature_map.phi(x, *parameters) for x in (q, k))
        return normalizer.chunked(q, k, v, state)

    def start(self, tensors: Mapping[str, Tensor]) -> State:
        """Return S and z before the first token: zero."""
        v = tensors["v"]
        count = self.mapped(tensors, "k").shape[-1]
        return v.new_zeros(v.shape[0], v.shape[2], count, v.shape[3]), v.new_zeros(
            v.shape[0], v.shape[2], count
        )

    def mapped(self, tensors: Mapping[str, Tensor], name: str) -> Tensor:
        """Return the features of q or k of the first token, [B, H, 1, M]; inputs with or without a T axis."""
        x = tensors[name]
        one = x[:, :1].transpose(1, 2) if x.dim() == 4 else x[:, :, None]
        return self.feature_map.phi(one, *(tensors[spec.name] for spec in self.inputs[3:]))

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        q, k = (self.mapped(token, name)[:, :, 0] for name in ("q", "k"))
        S = state[0] + torch.einsum("bhm,bhv->bhmv", k, token["v"])
        z = state[1] + k
        total = torch.einsum("bhm,bhm->bh", q, z)[..., None] + normalizer.EPSILON
        return torch.einsum("bhmv,bhm->bhv", S, q) / total, (S, z)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the exact results; at T = 1 o is v, and what q and k and the map have of it is zero."""
        found = super().expected(case, inputs)
        if case.T == 1 and inputs.state is None:
            for name in found.keys() - {"o", "dv"} - {spec.name for spec in self.state}:
                found[name] = replace(found[name], zero_rms=1.0)
        return found

    def least_flops(self, case: Case) -> float:
        """Return the operations of both maps and of the cheaper of the recurrent and the parallel form."""
        return self.feature_map.flops(case) + flops.least(case, features(case), case.V)


def fan_in(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return random weights of a map: normal of variance 1 / K."""
    weights: Tensor = normal(shape, generator) * shape[-1] ** -0.5
    return weights
