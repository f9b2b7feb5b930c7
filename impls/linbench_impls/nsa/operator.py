"""Operator nsa: the gated sum of attention over compressed blocks, selected blocks and a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from linbench import Case, Cost, TensorSpec, operator
from linbench.core.case import Scalar
from linbench.core.tensor import normal
from linbench_impls.nsa import branches, flops
from linbench_impls.nsa.branches import BLOCK, COUNT
from linbench_impls.toolkit.cache import CacheOperator
from linbench_impls.toolkit.recurrence import QKV

if TYPE_CHECKING:
    from torch import Generator, Tensor

State = tuple["Tensor", ...]


@operator
class NSA(CacheOperator):
    """Native sparse attention with the mean as compression, and as many key heads as query heads.

    o_t = g_cmp cmp_t + g_slc slc_t + g_swa swa_t as in `linbench_impls.nsa.branches`, with blocks of 16 keys,
    4 selected blocks, and a window of 64. q, k: [B, T, H, K]; v, o: [B, T, H, V]; g_*: [B, T, H], sigmoids
    of a normal variable. The state is a key/value cache with T + 1 slots.
    """

    name = "nsa"
    title = "Native sparse attention: compressed blocks, selected blocks and a window"
    source = "Yuan et al. 2025, Native Sparse Attention, arXiv:2502.11089"
    kind = "approximation"
    complexity = "O(T^2 / b)"
    approximates = "softmax"
    inputs = (*QKV, TensorSpec("g_cmp", "BTH"), TensorSpec("g_slc", "BTH"), TensorSpec("g_swa", "BTH"))
    state = (TensorSpec("k_cache", "BLHK", is_copy=True), TensorSpec("v_cache", "BLHV", is_copy=True))

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return random q, k and v, and gates in (0, 1)."""
        if spec.name.startswith("g_"):
            return normal(shape, generator).sigmoid()
        return super().draw(spec, shape, generator, options)

    def reference_head_bytes(self, case: Case) -> int:
        """Return the bytes of one head's gathered keys, or of its scores over means."""
        return 8 * case.B * case.T * max(BLOCK * COUNT * max(case.K, case.V), case.T // BLOCK)

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache, computed by gathering keys."""
        import torch

        if state is not None:
            return self.recurrence(tensors, state, options)
        q, k, v, *gates = (tensors[spec.name].transpose(1, 2) for spec in self.inputs)
        o = branches.by_gathering(q, k, v, tuple(gates))
        caches = (torch.nn.functional.pad(tensors[name], (0, 0, 0, 0, 0, 1)) for name in "kv")
        return o.transpose(1, 2), tuple(caches)

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache, computed row by row over masked keys."""
        import torch

        del options
        keys, values = tensors["k"], tensors["v"]
        if state is not None:
            pairs = zip(state, (keys, values), strict=True)
            keys, values = (torch.cat([cache[:, :-1], x], 1) for cache, x in pairs)
        q, *gates = (
            tensors[spec.name].transpose(1, 2) for spec in self.inputs if spec.name not in ("k", "v")
        )
        k, v = keys.transpose(1, 2), values.transpose(1, 2)
        rows, before = [], k.shape[2] - q.shape[2]
        for t in range(q.shape[2]):
            row, end = slice(t, t + 1), before + t + 1
            position = torch.tensor([end - 1], device=q.device)
            row_gates = tuple(gate[:, :, row] for gate in gates)
            rows.append(branches.by_masks(q[:, :, row], k[:, :, :end], v[:, :, :end], row_gates, position))
        padding = (0, 0, 0, 0, 0, 0 if state is not None else 1)
        caches = tuple(torch.nn.functional.pad(x, padding) for x in (keys, values))
        return torch.cat(rows, 2).transpose(1, 2), caches

    def cost(self, case: Case) -> Cost:
        """Return the cost of all branches at the visible pairs."""
        return Cost(float(flops.least(case)), self.least_bytes(case))
