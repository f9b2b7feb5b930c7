"""FeatureMapped: what is common to linear attention with a feature map that stands in for softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Expected, Inputs, Option
from linbench.core.operator import magnitude
from linbench.core.tensor import normal
from linbench_impls.families.features import maps
from linbench_impls.families.features.maps import EPSILON, MAPS
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.recurrence import INITIAL_STATE, QKV, Recurrence, State
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

FEATURES = Option(64, (16, 32, 64, 128, 256), "features of each query and key", of_inputs=True)
STATE_TOKENS = 64
TWOFOLD = ("hedgehog",)  # maps that take two features of each row of their weights
FIXED = ("performer",)  # maps whose weights have no gradient


def features(case: Case) -> int:
    """Return how many features a case asks for."""
    return int(case.options.get("features", FEATURES.default))


def map_flops(name: str, case: Case) -> float:
    """Return the operations of phi(Q) and phi(K): products with the weights of the map."""
    columns = features(case) // (2 if name in TWOFOLD else 1)
    passes = flops.passes(case) - (name in FIXED and flops.differentiated(case))
    return 4 * case.tokens * case.H * case.K * columns * passes


class FeatureMapped(Recurrence):
    """Normalised linear attention with a feature map of M features.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6).
    q, k: [B, T, H, K]; v, o: [B, T, H, V]; S: [B, H, M, V] and z: [B, H, M], float32. A row has two errors:
    of the implementation against this definition, and of this definition against softmax.
    """

    kind = "approximation"
    approximates = "softmax"
    inputs = QKV
    state = (
        SizedSpec("S", "BHMV", sizes={"M": features}),
        SizedSpec("z", "BHM", sizes={"M": features}),
    )
    options: ClassVar[Mapping[str, Option]] = {"features": FEATURES, "initial_state": INITIAL_STATE}

    def phi(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the features of x [B, H, T, K], [B, H, T, M]."""
        return MAPS[self.name](x, *parameters)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S and z as 64 random tokens leave them, as often as makes T."""
        options = self.option_values(case)
        parameters = [
            self.draw(spec, spec.shape(case, 1), generator, options)
            for spec in self.inputs
            if spec.name not in ("q", "k", "v")
        ]
        shape, size = (case.B, case.H, STATE_TOKENS), magnitude(options)
        k = self.phi(normal((*shape, case.K), generator) * size, *parameters)
        v = normal((*shape, case.V), generator) * size
        repeated = case.T / STATE_TOKENS
        return repeated * k.transpose(-1, -2) @ v, repeated * k.sum(-2)

    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state chunk after chunk."""
        q, k, v, *parameters = tensors
        return maps.chunked(self.phi(q, *parameters), self.phi(k, *parameters), v, state)

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
        return self.phi(one, *(tensors[spec.name] for spec in self.inputs[3:]))

    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token and the state after it."""
        import torch

        q, k = (self.mapped(token, name)[:, :, 0] for name in ("q", "k"))
        S = state[0] + torch.einsum("bhm,bhv->bhmv", k, token["v"])
        z = state[1] + k
        total = torch.einsum("bhm,bhm->bh", q, z)[..., None] + EPSILON
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
        return map_flops(self.name, case) + flops.least(case, features(case), case.V)


def fan_in(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Return random weights of a map: normal of variance 1 / K."""
    weights: Tensor = normal(shape, generator) * shape[-1] ** -0.5
    return weights
