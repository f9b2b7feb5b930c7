"""Base class of operators with a local softmax, over nearby keys only: reference, cache, costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, TensorSpec
from linbench.core.case import Scalar
from linbench_impls.families.local import forms
from linbench_impls.toolkit.cache import CacheOperator
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.recurrence import QKV

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", ...]


class LocalAttention(CacheOperator):
    """Softmax over the keys from first(t) to t; the state is a cache of the keys that the next token sees."""

    complexity = "O(T w)"
    inputs: ClassVar[tuple[TensorSpec, ...]] = QKV

    @abstractmethod
    def size(self, options: Mapping[str, Scalar]) -> int:
        """Return w, the tokens of the window or of a block."""

    @abstractmethod
    def first(self, rows: Tensor, size: int) -> Tensor:
        """Return the first key that each row sees."""

    @abstractmethod
    def in_blocks(self, q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
        """Return the output in O(T w); all [B, H, T, D]."""

    @abstractmethod
    def visible_pairs(self, case: Case) -> float:
        """Return the number of visible query/key pairs of one call in each head of each sequence."""

    def reference_head_bytes(self, case: Case) -> int:
        """Return the bytes of one head's float64 scores, including the block of keys before each block."""
        return 16 * case.B * case.T * max(case.K, case.V, self.size(self.option_values(case)))

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache, computed in blocks."""
        import torch

        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        if state is not None:
            pairs = zip(state, "kv", strict=True)
            caches = tuple(torch.cat([cache[:, :-1], tensors[name]], 1) for cache, name in pairs)
            keys, values = (cache.transpose(1, 2) for cache in caches)
            return forms.attend(q, keys, values).transpose(1, 2), caches
        o = self.in_blocks(q, k, v, self.size(options))
        return o.transpose(1, 2), self.caches(tensors, options)

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache, computed row by row."""
        import torch

        del state
        size = self.size(options)
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        firsts = self.first(torch.arange(q.shape[2]), size).tolist()
        rows = [
            forms.attend(q[:, :, t : t + 1], k[:, :, first : t + 1], v[:, :, first : t + 1])
            for t, first in enumerate(firsts)
        ]
        return torch.cat(rows, 2).transpose(1, 2), self.caches(tensors, options)

    def caches(self, tensors: Mapping[str, Tensor], options: Mapping[str, Scalar]) -> State:
        """Return the keys and values that the next token sees, and a free slot."""
        import torch
        import torch.nn.functional as F

        tokens = tensors["k"].shape[1]
        first = int(self.first(torch.tensor([tokens]), self.size(options)).clamp_min(0))
        return tuple(F.pad(tensors[name][:, first:], (0, 0, 0, 0, 0, 1)) for name in "kv")

    def cost(self, case: Case) -> Cost:
        """Return the cost of both products at the visible pairs."""
        return Cost(float(pairs(case, self.visible_pairs(case))), self.least_bytes(case))
