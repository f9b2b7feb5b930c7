"""Operator diag_attention: softmax over the keys of a token's own block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, operator
from linbench.core.case import Scalar
from linbench_impls.families.local import forms
from linbench_impls.families.local.operator import LocalAttention
from linbench_impls.toolkit.cache import cache_specs

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = Option(64, (16, 32, 64, 128, 256), "tokens per block")


def block(case: Case) -> int:
    """Return the tokens per block at a case."""
    return int(case.options.get("block", BLOCK.default))


def cache_slots(case: Case) -> int:
    """Return the slots of a cache: the tokens of the incomplete block, and one free slot."""
    return case.T % block(case) + 1


@operator
class DiagAttention(LocalAttention):
    """DiagAttention of TransNormer, the attention of its lower layers, causal.

    o_t = sum_{u = b floor(t / b)}^t softmax_u(q_t . k_u / sqrt(K)) v_u; q, k: [B, T, H, K]; v, o:
    [B, T, H, V]. The state is a cache of the T mod b keys and values of the incomplete block, with a slot for
    one more token. The linear attention of TransNormer's upper layers is the operator transnormer.
    """

    name = "diag_attention"
    title = "Softmax attention in blocks on the diagonal (DiagAttention)"
    source = "Qin et al. 2022, The Devil in Linear Transformer, arXiv:2210.10340"
    kind = "different function"
    state = cache_specs("L", cache_slots)
    options: ClassVar[Mapping[str, Option]] = {"block": BLOCK}

    def size(self, options: Mapping[str, Scalar]) -> int:
        """Return the tokens per block."""
        return int(options["block"])

    def first(self, rows: Tensor, size: int) -> Tensor:
        """Return the first token of each row's block."""
        return rows - rows % size

    def in_blocks(self, q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
        """Return the output from blocks of queries over their own keys."""
        return forms.blocks(q, k, v, size)

    def visible_pairs(self, case: Case) -> float:
        """Return the pairs inside blocks."""
        if case.mode == "decode":
            return cache_slots(case)
        size = block(case)
        last = case.T % size
        return case.T // size * size * (size + 1) / 2 + last * (last + 1) / 2
