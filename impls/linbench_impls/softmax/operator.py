"""Operator softmax: its inputs, float64 reference, exact on a sample where T is long, and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Expected, Inputs, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.softmax.padding import lengths, visible
from linbench_impls.softmax.sampled import sampled_gradients, sampled_output, sampled_positions
from linbench_impls.toolkit import varlen
from linbench_impls.toolkit.cache import Cached, cache_specs
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Tensor

WHOLE_SCORES = 2**27

State = tuple["Tensor", ...]


def group_of(case: Case) -> int:
    """Return how many heads of q share one of k."""
    return int(case.options.get("group", 1))


def key_heads(case: Case) -> int:
    """Return the heads of k and v."""
    return case.H // group_of(case)


@operator
class Softmax(Cached):
    """Softmax attention, causal unless it is asked to see both ways.

    o_t = sum_{u <= t} softmax_u(q_t . k_u / sqrt(K)) v_u. q, k: [B, T, H, K]; v, o: [B, T, H, V]. The state
    is a cache of keys and values with room for T + 1 tokens; decode writes its token into the last slot.
    With cache=False decode is given all T + 1 tokens and no cache, and computes every row again. With
    group = g (grouped-query attention) k and v have H / g heads, each for g heads of q that stand together.
    With causal=False u runs over all tokens; there is no prefill and no decode. With padding = p beside it
    the last floor(p T) keys of every second sequence are padding, which no token sees; their values are
    random like the others. What is causal never sees padding that follows it. With varlen = n, B = 1, the row
    holds n sequences of different lengths, and u runs over the tokens of t's own; fwd and fwd_bwd alone.
    """

    name = "softmax"
    title = "Softmax attention"
    source = "Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762"
    kind = "exact softmax"
    complexity = "O(T^2)"
    inputs = (
        TensorSpec("q", "BTHK"),
        SizedSpec("k", "BTHK", sizes={"H": key_heads}),
        SizedSpec("v", "BTHV", sizes={"H": key_heads}),
    )
    state = cache_specs("H", key_heads)
    options: ClassVar[Mapping[str, Option]] = {
        "cache": Option(True, (True, False), "decode from a cache of keys and values, or recompute"),
        "causal": Option(True, (True, False), "see what came before, or all tokens"),
        "group": Option(1, (1, 2, 3, 4, 8), "heads of q that share a head of k and v"),
        "padding": Option(0.0, (0.0, 0.25, 0.5), "share of keys of every second sequence that is padding"),
        "varlen": varlen.VARLEN,
    }

    def complete(self, case: Case) -> Case:
        """Return the case as this operator sees it; `cache` says something in decode only."""
        found = super().complete(case)
        if case.mode == "decode":
            return found
        return found.with_options({name: value for name, value in found.options.items() if name != "cache"})

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why heads cannot be grouped, what makes no sense both ways, or why nothing is padded."""
        if case.H % group_of(case):
            return f"group = {group_of(case)} takes H in multiples of it, not {case.H}"
        if not case.options.get("causal", True) and case.mode in ("prefill", "decode"):
            return f"causal=false has no {case.mode}: a token sees those after it"
        if case.options.get("padding") and case.options.get("causal", True):
            return "padding takes causal=false: what is causal never sees padding that follows it"
        if case.options.get("padding") and case.B == 1:
            return "padding takes B from 2: every second sequence is padded"
        return varlen.unsupported_reason(case)

    def mirror_axes(self, case: Case) -> str:
        """Return H alone where every second sequence is padded, else H and B."""
        return "H" if case.options.get("padding") else "HB"

    def call_tokens(self, case: Case) -> int:
        """Return 1 in decode with a cache, T + 1 without one, else T."""
        if case.mode == "decode" and not self._cached(case):
            return case.T + 1
        return super().call_tokens(case)

    def output_tokens(self, case: Case) -> int:
        """Return 1 in decode, else T."""
        return super().call_tokens(case)

    def takes_state(self, case: Case) -> bool:
        """Return whether the call is given a cache."""
        return case.mode == "decode" and self._cached(case)

    def returned_state(self, case: Case) -> tuple[TensorSpec, ...]:
        """Return the cache, except where decode has none."""
        return self.state if case.mode == "prefill" or self.takes_state(case) else ()

    def reference_head_bytes(self, case: Case) -> int:
        """Return the bytes of one head's float64 scores."""
        rows = 1 if self.takes_state(case) else case.T
        return 8 * case.B * max(rows * case.T, case.T * max(case.K, case.V))

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache from the whole matrix of scores."""
        import torch

        q, k, v = (tensors[name] for name in "qkv")
        if state is not None:
            k, v = (torch.cat([cache[:, :-1], x], 1) for cache, x in zip(state, (k, v), strict=True))
        o = attend(q, k, v, bool(options["causal"]), float(options["padding"]), int(options["varlen"]))
        if not options["cache"]:
            return o[:, -1:], ()
        room = (0, 0, 0, 0, 0, 0 if state is not None else 1)
        return o, tuple(torch.nn.functional.pad(x, room) for x in (k, v))

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache key by key, with a running maximum and sum (arXiv:1805.02867)."""
        import torch

        del state
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")  # [B, H, T, D]
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        tokens = q.shape[2]
        seen = visible(q.shape[0], tokens, float(options["padding"]), q.device)
        highest = q.new_full((*q.shape[:3], 1), -math.inf)
        total = q.new_zeros((*q.shape[:3], 1))
        o = q.new_zeros((*q.shape[:3], v.shape[-1]))
        sizes = varlen.lengths(tokens, int(options["varlen"]))
        spans = [(sum(sizes[:i]), sum(sizes[: i + 1])) for i, size in enumerate(sizes) for _ in range(size)]
        for u, (begin, end) in enumerate(spans):
            rows = slice(u if options["causal"] else begin, end)
            scores = (q[:, :, rows] * k[:, :, u : u + 1]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
            scores = scores.masked_fill(~seen[:, u, None, None, None], -math.inf)
            new = torch.maximum(highest[:, :, rows], scores)
            shrink, weight = (highest[:, :, rows] - new).exp(), (scores - new).exp()
            o = _put(o, rows, o[:, :, rows] * shrink + weight * v[:, :, u : u + 1])
            total = _put(total, rows, total[:, :, rows] * shrink + weight)
            highest = _put(highest, rows, new)
        room = (0, 0, 0, 0, 0, 1)
        caches = tuple(torch.nn.functional.pad(tensors[name], room) for name in "kv")
        return (o / total).transpose(1, 2), caches

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the exact results: whole where T is short, at a sample of positions where it is long.

        A sampled row of o, dq or the last token is exact, since it needs every key but no other query; dk
        and dv are exact at sampled keys of one head, since they need every query of it. At T = 1 o is v, so
        that dq and dk are zero and named as such. The reference gets a shared key head per query head, and
        their gradients are summed.
        """
        group = group_of(case)
        if group == 1:
            return self._ungrouped(case, inputs, 1)
        state = None if inputs.state is None else tuple(x.repeat_interleave(group, 2) for x in inputs.state)
        tensors = {
            name: x if name == "q" else x.repeat_interleave(group, 2) for name, x in inputs.tensors.items()
        }
        kept = {name: value for name, value in case.options.items() if name != "group"}
        found = self._ungrouped(case.with_options(kept), Inputs(tensors, state, inputs.upstream), group)
        for name, due in found.items():
            if name in ("k_cache", "v_cache"):
                found[name] = replace(due, value=due.value[:, :, ::group])
            elif name in ("dk", "dv") and due.index == (...,):
                found[name] = replace(due, value=due.value.unflatten(2, (-1, group)).sum(3))
        return found

    def _ungrouped(self, case: Case, inputs: Inputs, group: int) -> dict[str, Expected]:
        """Return the exact results with as many heads of keys as of queries, dk and dv of each."""
        if case.B * case.H * case.T * max(self.output_tokens(case), 1) <= WHOLE_SCORES:
            return super().expected(case, inputs)
        positions = sampled_positions(case.T, case.seed, inputs.tensors["q"].device)
        if case.mode == "fwd_bwd":
            return sampled_gradients(case, inputs, positions, group)
        return sampled_output(case, inputs, positions)

    @varlen.cost_of_each
    def cost(self, case: Case) -> Cost:
        """Return the work of both products, of their causal half where it is causal, without padding."""
        rows = 1 if case.mode == "decode" else case.T
        half = 2 if case.mode != "decode" and case.options.get("causal", True) else 1
        keys = sum(lengths(case.B, case.T, float(case.options.get("padding", 0.0)))) / case.B
        return Cost(float(pairs(case, rows * keys / half)), self.fewest_bytes(case))

    @staticmethod
    def _cached(case: Case) -> bool:
        return bool(case.options.get("cache", True))


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool, padding: float, sequences: int) -> Tensor:
    """Return softmax attention; all [B, T, H, D], k and v with as many heads as q or a divisor of them.

    Where it is causal the last query of q stands at the last key of k; padding and varlen sequences are
    those of the options.
    """
    import torch

    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
    rows, columns = q.shape[1], k.shape[1]
    scores = torch.einsum("bthk,buhk->bhtu", q, k) / math.sqrt(q.shape[-1])
    if causal:
        hidden = torch.ones(rows, columns, dtype=torch.bool, device=q.device).triu(columns - rows + 1)
        scores = scores.masked_fill(hidden, -math.inf)
    if padding:
        seen = visible(k.shape[0], columns, padding, q.device)[:, None, None]
        scores = scores.masked_fill(~seen, -math.inf)
    if sequences > 1:
        sizes = varlen.lengths(columns, sequences)
        same = torch.block_diag(*(q.new_ones(size, size) for size in sizes)).bool()
        scores = scores.masked_fill(~same, -math.inf)
    return torch.einsum("bhtu,buhv->bthv", scores.softmax(-1), v)


def _put(x: Tensor, rows: slice, new: Tensor) -> Tensor:
    """Return x, [B, H, T, D], with other rows in the place of some."""
    import torch

    return torch.cat([x[:, :, : rows.start], new, x[:, :, rows.stop :]], 2)
