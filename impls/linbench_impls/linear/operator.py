"""Operator linear: inputs, float64 reference in two forms, and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Expected, Inputs, Operator, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.linear.feature_map import FEATURE_MAPS, feature_map
from linbench_impls.toolkit import flops, varlen
from linbench_impls.toolkit.chunks import split_into_chunks
from linbench_impls.toolkit.normalizer import EPSILON, last_state, parallel
from linbench_impls.toolkit.recurrence import INITIAL_STATE, QKV

if TYPE_CHECKING:
    from torch import Generator, Tensor

REFERENCE_CHUNK = 64

State = tuple["Tensor", ...]


@operator
class Linear(Operator):
    """Causal linear attention.

    S_t = S_{t-1} + phi(k_t) v_t^T, z_t = z_{t-1} + phi(k_t), o_t = S_t^T phi(q_t) / (phi(q_t) . z_t + 1e-6);
    no scale. With normalize=False the denominator is 1. q, k: [B, T, H, K]; v, o: [B, T, H, V];
    S: [B, H, K, V] and z: [B, H, K], float32. With varlen = n and B = 1, the row holds n sequences of
    different lengths, each with a zero initial state; fwd and fwd_bwd only.
    """

    name = "linear"
    title = "Causal linear attention with an elementwise feature map"
    source = "Katharopoulos et al. 2020, Transformers are RNNs, arXiv:2006.16236"
    inputs = QKV
    state = (TensorSpec("S", "BHKV"), TensorSpec("z", "BHK"))
    options: ClassVar[Mapping[str, Option]] = {
        "feature_map": Option("elu1", FEATURE_MAPS, "phi, applied to each element of q and k"),
        "normalize": Option(True, (True, False), "divide by phi(q_t) . z_t + 1e-6"),
        "initial_state": INITIAL_STATE,
        "varlen": varlen.VARLEN,
    }

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why a case is invalid: normalised phi = identity (denominators may be zero), or varlen."""
        options = self.option_values(case)
        if options["feature_map"] == "identity" and options["normalize"]:
            return "feature_map=identity has denominators of either sign; set normalize=false with it"
        return varlen.unsupported_reason(case)

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return S and z with their mean and variance after T tokens of random keys and values."""
        from linbench.core.operator import magnitude
        from linbench.core.tensor import normal

        options = self.option_values(case)
        phi, size = str(options["feature_map"]), magnitude(options)
        mean, square = {"elu1": (1.16, 2.0), "relu": (0.4, 0.5), "identity": (0.0, 1.0)}[phi]
        kv, key = (normal(spec.shape(case, 1), generator) for spec in self.state)
        spread = math.sqrt(case.T * (square - mean**2))
        return kv * size**2 * math.sqrt(case.T * square), size * (key * spread + case.T * mean)

    @varlen.per_sequence
    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state by chunks: masked products inside, a cumulative sum between them."""
        import torch

        phi, normalize = str(options["feature_map"]), bool(options["normalize"])
        q, k = (feature_map(tensors[name], phi) for name in ("q", "k"))
        v = tensors["v"]
        batch, tokens, heads, _ = q.shape
        q, k, v = split_into_chunks(tuple(x.transpose(1, 2) for x in (q, k, v)), REFERENCE_CHUNK)
        sums = (k.transpose(-1, -2) @ v).cumsum(2)  # [B, H, N, K, V]
        key_sums = k.sum(-2).cumsum(2)  # [B, H, N, K]
        S0, z0 = state or (torch.zeros_like(sums[:, :, 0]), torch.zeros_like(key_sums[:, :, 0]))
        before = torch.cat([S0[:, :, None], S0[:, :, None] + sums[:, :, :-1]], 2)
        keys_before = torch.cat([z0[:, :, None], z0[:, :, None] + key_sums[:, :, :-1]], 2)
        scores = (q @ k.transpose(-1, -2)).tril()
        o = scores @ v + q @ before
        if normalize:
            o = o / (scores.sum(-1, keepdim=True) + q @ keys_before[..., None] + EPSILON)
        o = o.reshape(batch, heads, -1, o.shape[-1])[:, :, :tokens].transpose(1, 2)
        return o, (S0 + sums[:, :, -1], z0 + key_sums[:, :, -1])

    @varlen.per_sequence
    def plain(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state by the parallel form, one masked product over all tokens."""
        q, k = (feature_map(tensors[name], str(options["feature_map"])).transpose(1, 2) for name in "qk")
        v = tensors["v"].transpose(1, 2)
        o = parallel(q, k, v, bool(options["normalize"]), state)
        return o.transpose(1, 2), last_state(k, v, state)

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state token by token, by the definition."""
        import torch

        phi = str(options["feature_map"])
        q, k = (feature_map(tensors[name], phi) for name in ("q", "k"))
        v = tensors["v"]
        batch, tokens, heads, keys = k.shape
        zero = (k.new_zeros(batch, heads, keys, v.shape[-1]), k.new_zeros(batch, heads, keys))
        S, z = state or zero
        first_tokens = varlen.first_tokens(tokens, int(options["varlen"]))
        outputs = []
        for t in range(tokens):
            if t in first_tokens:
                S, z = zero
            S = S + torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            z = z + k[:, t]
            o = torch.einsum("bhkv,bhk->bhv", S, q[:, t])
            if options["normalize"]:
                o = o / (torch.einsum("bhk,bhk->bh", q[:, t], z)[..., None] + EPSILON)
            outputs.append(o)
        return torch.stack(outputs, 1), (S, z)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values, with a `zero_rms` for gradients that are zero because of the quotient.

        At T = 1 o is v, whatever q and k are; at K = 1 phi(q) cancels.
        """
        expected = super().expected(case, inputs)
        zero_gradients = {"dq", "dk"} if case.T == 1 else {"dq"} if case.K == 1 else set()
        if self.option_values(case)["normalize"] and inputs.state is None:
            for name in expected.keys() & zero_gradients:
                expected[name] = replace(expected[name], zero_rms=1.0)
        return expected

    @varlen.sum_cost
    def cost(self, case: Case) -> Cost:
        """Return the cost of the cheaper of the recurrent and the parallel form."""
        least = flops.least(case, case.K, case.V)
        return Cost(float(least), self.input_bytes(case) + self.output_bytes(case))
