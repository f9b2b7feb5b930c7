"""Base class of linear attention with a feature map that approximates softmax."""

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


class FeatureMapOperator(Recurrence):
    """Normalised linear attention with a feature map of M features.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).
    q, k: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, M, V] and z: [B, H, M], float32. A row has two errors:
    that of the implementation against this definition, and that of this definition against softmax.

    Attributes:
        feature_map: The map phi; its parameters are the inputs after q, k and v.
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
        """Return S and z after 64 random tokens, scaled to T tokens."""
        options = self.option_values(case)
        parameters = [
            self.draw(spec, spec.shape(case, 1), generator, options)
            for spec in self.inputs
            if spec.name not in ("q", "k", "v")
        ]
        shape, size = (case.B, case.H, STATE_TOKENS), magnitude(options)
        k = self.feature_map.phi(normal((*shape, case.K), generator) * size, *parameters)
        v = normal((*shape, case.V), generator) * size
        repeats = case.T / STATE_TOKENS
        return repeats * k.transpose(-1, -2) @ v, repeats * k.sum(-2)

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk."""
        q, k, v, *parameters = tensors
        q, k = (self.feature_map.phi(x, *parameters) for x in (q, k))
        return normalizer.chunked(q, k, v, state)

    def start(self, tensors: Mapping[str, Tensor]) -> State:
        """Return S and z before the first token: zero."""
        v = tensors["v"]
        M = self.token_features(tensors, "k").shape[-1]
        return v.new_zeros(v.shape[0], v.shape[2], M, v.shape[3]), v.new_zeros(v.shape[0], v.shape[2], M)

    def token_features(self, tensors: Mapping[str, Tensor], name: str) -> Tensor:
        """Return the features of q or k of the first token, [B, H, 1, M]; inputs need no T axis."""
        x = tensors[name]
        token = x[:, :1].transpose(1, 2) if x.dim() == 4 else x[:, :, None]
        return self.feature_map.phi(token, *(tensors[spec.name] for spec in self.inputs[3:]))

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        q, k = (self.token_features(token, name)[:, :, 0] for name in ("q", "k"))
        S = state[0] + torch.einsum("bhm,bhv->bhmv", k, token["v"])
        z = state[1] + k
        total = torch.einsum("bhm,bhm->bh", q, z)[..., None] + normalizer.EPSILON
        return torch.einsum("bhmv,bhm->bhv", S, q) / total, (S, z)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values; at T = 1 o is v, and gradients of q, k and the parameters are zero."""
        expected = super().expected(case, inputs)
        if case.T == 1 and inputs.state is None:
            for name in expected.keys() - {"o", "dv"} - {spec.name for spec in self.state}:
                expected[name] = replace(expected[name], zero_rms=1.0)
        return expected

    def least_flops(self, case: Case) -> float:
        """Return the operations of phi and of the cheaper of the recurrent and the parallel form."""
        return self.feature_map.flops(case) + flops.least(case, features(case), case.V)


def fan_in(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return random weights of a feature map: normal with variance 1 / K."""
    weights: Tensor = normal(shape, generator) * shape[-1] ** -0.5
    return weights
