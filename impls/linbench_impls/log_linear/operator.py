"""Operator log_linear: gated linear attention over a Fenwick tree of states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Operator, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.operator import magnitude
from linbench.core.tensor import normal
from linbench_impls.log_linear import flops, tree
from linbench_impls.log_linear.flops import state_levels
from linbench_impls.toolkit.recurrence import GATES, QKV, softplus_gates
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

State = tuple["Tensor", ...]


def weight_levels(case: Case) -> int:
    """Return the number of weights per token: one per bucket, and one for the token itself."""
    return state_levels(case) + 1


@operator
class LogLinear(Operator):
    """Log-linear attention with the scalar gate of Mamba-2.

    o_t = K^-1/2 sum_{u <= t} lambda_t[l] exp(g_{u+1} + ... + g_t) (q_t . k_u) v_u, l = 0 if u = t, else
    floor(log2(t xor u)) + 1. q, k: [B, T, H, K]; v, o: [B, T, H, V]; g: [B, T, H], log-decays <= 0 drawn as
    those of simple_gla; lambda: [B, T, H, N], softplus of a normal variable; both float32. The state has one
    matrix per bucket of the next token, S: [B, H, P, K, V], and the number of tokens, t: [B, H], float32.
    """

    name = "log_linear"
    title = "Log-linear attention: a scalar gate and log2(T) states over ranges that double in length"
    source = "Guo et al. 2025, Log-Linear Attention, arXiv:2506.04761"
    complexity = "O(T log T)"
    inputs = (
        *QKV,
        TensorSpec("g", "BTH", at_least_float32=True),
        SizedSpec("lam", "BTHN", at_least_float32=True, sizes={"N": weight_levels}),
    )
    state = (SizedSpec("S", "BHPKV", sizes={"P": state_levels}), TensorSpec("t", "BH"))
    options: ClassVar[Mapping[str, Option]] = {"gates": GATES}

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, gates, and weights of levels."""
        import torch.nn.functional as F

        if spec.name == "g":
            return softplus_gates(shape, generator, options)
        if spec.name == "lam":
            return F.softplus(normal(shape, generator))
        return super().draw(spec, shape, generator, options)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return normal states in the buckets that are not empty after T tokens."""
        import torch

        S = normal(self.state[0].shape(case, 1), generator) * magnitude(self.option_values(case)) ** 2
        for level in range(state_levels(case)):
            if not case.T >> level & 1:
                S[:, :, level] = 0
        return S, torch.full((case.B, case.H), float(case.T), device=S.device)

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state, computed by a tree of chunks."""
        del options
        in_layout = (tensors[spec.name].transpose(1, 2) for spec in self.inputs)
        o, final = tree.chunked(*in_layout, state=state)
        return o.transpose(1, 2), final

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state by the definition, with the level of each pair of tokens."""
        import torch

        del state, options
        q, k, v, g, lam = (tensors[spec.name] for spec in self.inputs)
        rows = []
        for t in range(q.shape[1]):
            levels = [0 if u == t else int(math.log2(t ^ u)) + 1 for u in range(t + 1)]
            decays = torch.stack([g[:, u + 1 : t + 1].sum(1) for u in range(t + 1)], -1)  # [B, H, t + 1]
            scores = torch.einsum("bhk,buhk->bhu", q[:, t], k[:, : t + 1])
            weight = lam[:, t][..., levels] * decays.exp() * scores
            rows.append(torch.einsum("bhu,buhv->bhv", weight, v[:, : t + 1]) * q.shape[-1] ** -0.5)
        k, v, g = (x.transpose(1, 2) for x in (k, v, g))
        return torch.stack(rows, 1), tree.last_state(k, v, g, lam.shape[-1] - 1)

    def cost(self, case: Case) -> Cost:
        """Return the cost of the cheapest tree."""
        return Cost(float(flops.least(case)), self.input_bytes(case) + self.output_bytes(case))
