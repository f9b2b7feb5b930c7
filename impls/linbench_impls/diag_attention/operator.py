"""Operator diag_attention: softmax in blocks that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Option, operator
from linbench.core.case import Scalar
from linbench_impls.forms.sized import SizedSpec
from linbench_impls.local import forms
from linbench_impls.local.operator import Local

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
    """Causal softmax in blocks of b: first(t) = b floor(t / b); the rest as in `Local`.

    It is the half of TransNormer that stands in its lower layers.
    """

    name = "diag_attention"
    title = "Softmax attention in blocks on the diagonal (DiagAttention)"
    source = "Qin et al. 2022, The Devil in Linear Transformer, arXiv:2210.10340"
    kind = "different function"
    state = (
        SizedSpec("k_cache", "BLHK", sizes={"L": room}),
        SizedSpec("v_cache", "BLHV", sizes={"L": room}),
    )
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

    def seen_flops(self, case: Case) -> float:
        """Return the pairs inside blocks."""
        if case.mode == "decode":
            return room(case)
        size = block(case)
        last = case.T % size
        return case.T // size * size * (size + 1) / 2 + last * (last + 1) / 2
