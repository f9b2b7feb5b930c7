"""Operator diag_attention: softmax over the keys of a token's own block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, operator
from linbench.core.case import Scalar
from linbench_impls.families.local import forms
from linbench_impls.families.local.operator import Local
from linbench_impls.toolkit.cache import cache_specs

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = Option(64, (16, 32, 64, 128, 256), "tokens of a block")


def block(case: Case) -> int:
    """Return the tokens of a block of a case."""
    return int(case.options.get("block", BLOCK.default))


def room(case: Case) -> int:
    """Return the slots of a cache: the tokens of the block that has begun, and one."""
    return case.T % block(case) + 1


@operator
class DiagAttention(Local):
    """DiagAttention of TransNormer, the half that stands in its lower layers, causal.

    o_t = sum_{u = b floor(t / b)}^t softmax_u(q_t . k_u / sqrt(K)) v_u; q, k: [B, T, H, K]; v, o:
    [B, T, H, V]. The state is a cache of the T mod b keys and values of the block that has begun, with room
    for one more. Its other half, linear attention under an RMS norm, is the operator transnormer.
    """

    name = "diag_attention"
    title = "Softmax attention in blocks on the diagonal (DiagAttention)"
    source = "Qin et al. 2022, The Devil in Linear Transformer, arXiv:2210.10340"
    kind = "different function"
    state = cache_specs("L", room)
    options: ClassVar[Mapping[str, Option]] = {"block": BLOCK}

    def size(self, options: Mapping[str, Scalar]) -> int:
        """Return the tokens of a block."""
        return int(options["block"])

    def first(self, at: Tensor, size: int) -> Tensor:
        """Return the first token of each row's block."""
        return at - at % size

    def in_blocks(self, q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
        """Return the output from blocks that see themselves."""
        return forms.blocks(q, k, v, size)

    def seen_pairs(self, case: Case) -> float:
        """Return the pairs inside blocks."""
        if case.mode == "decode":
            return room(case)
        size = block(case)
        last = case.T % size
        return case.T // size * size * (size + 1) / 2 + last * (last + 1) / 2
