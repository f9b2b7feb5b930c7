"""Operator sliding_window: softmax over the last w keys."""

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

WINDOW = Option(64, (16, 32, 64, 128, 256, 512, 1024), "keys that a token sees, including its own")


def window(case: Case) -> int:
    """Return the window at a case."""
    return int(case.options.get("window", WINDOW.default))


def cache_slots(case: Case) -> int:
    """Return the slots of a cache: those of the window, or fewer if T is shorter."""
    return min(case.T, window(case) - 1) + 1


@operator
class SlidingWindow(LocalAttention):
    """Sliding-window attention, causal and without dilation or global tokens.

    o_t = sum_{u = max(0, t - w + 1)}^t softmax_u(q_t . k_u / sqrt(K)) v_u; q, k: [B, T, H, K]; v, o:
    [B, T, H, V]. The state is a cache of the last w - 1 keys and values, with a slot for one more. As an
    approximation of softmax it omits all earlier keys; random keys have no preference for recent ones.
    """

    name = "sliding_window"
    title = "Softmax attention over the last w keys"
    source = "Beltagy et al. 2020, Longformer, arXiv:2004.05150"
    kind = "approximation"
    approximates = "softmax"
    state = cache_specs("L", cache_slots)
    options: ClassVar[Mapping[str, Option]] = {"window": WINDOW}

    def size(self, options: Mapping[str, Scalar]) -> int:
        """Return the window."""
        return int(options["window"])

    def first(self, rows: Tensor, size: int) -> Tensor:
        """Return t - w + 1, at least 0."""
        return (rows - size + 1).clamp_min(0)

    def in_blocks(self, q: Tensor, k: Tensor, v: Tensor, size: int) -> Tensor:
        """Return the output from blocks of queries over their own keys and those of the previous block."""
        return forms.sliding(q, k, v, size)

    def visible_pairs(self, case: Case) -> float:
        """Return the pairs inside the window."""
        if case.mode == "decode":
            return cache_slots(case)
        short = min(case.T, window(case))
        return short * (short + 1) / 2 + (case.T - short) * short
