"""CausalProduct: the base class of the operators that the self-tests measure."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from linbench import Operator, TensorSpec
from linbench.core.case import Scalar


class CausalProduct(Operator):
    """Causal product: o_t = sum_{u <= t} (q_t . k_u) v_u."""

    inputs = (TensorSpec("q", "BTHK"), TensorSpec("k", "BTHK"), TensorSpec("v", "BTHV"))

    def reference(
        self, tensors: Mapping[str, Tensor], state: tuple[Tensor, ...] | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output; there is no state."""
        del state, options
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        return product(q, k, v).transpose(1, 2), ()


def product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the causal product; q, k: [B, H, T, K]; v, o: [B, H, T, V]."""
    return (q @ k.transpose(-1, -2)).tril() @ v
