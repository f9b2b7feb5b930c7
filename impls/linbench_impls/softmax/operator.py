"""Operator softmax: inputs, float64 reference, at sampled positions for long T, and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Expected, Inputs, Option, TensorSpec, operator
from linbench.core.case import Scalar
from linbench_impls.softmax.padding import lengths, visible_keys
from linbench_impls.softmax.sampled import (
    gradients_in_blocks,
    sampled_gradients,
    sampled_output,
    sampled_positions,
)
from linbench_impls.toolkit import varlen
from linbench_impls.toolkit.cache import CacheOperator, cache_specs
from linbench_impls.toolkit.flops import pairs
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Tensor

MAX_MATRIX_SCORES = 2**22
MAX_FULL_SCORES = 2**27

State = tuple["Tensor", ...]


def group_of(case: Case) -> int:
    """Return the number of heads of q per head of k."""
    return int(case.options.get("group", 1))


def key_heads(case: Case) -> int:
    """Return the number of heads of k and v."""
    return case.H // group_of(case)


@operator
class Softmax(CacheOperator):
    """Softmax attention, causal by default.

    o_t = sum_{u <= t} softmax_u(q_t . k_u / sqrt(K)) v_u. q, k: [B, T, H, K]; v, o: [B, T, H, V]. The state
    is a key/value cache with T + 1 slots; decode writes its token into the last slot. With cache=False decode
    receives all T + 1 tokens and no cache, and recomputes every row. With group = g (grouped-query attention)
    k and v have H / g heads, each for g adjacent heads of q. With causal=False u runs over all tokens; there
    is no prefill and no decode. With causal=False and padding = p the last floor(p T) keys of every second
    sequence are padding, which no token sees; their values are random. Causal attention never sees padding
    at the end. With varlen = n and B = 1, the row holds n sequences of different lengths, and u runs over the
    tokens of the sequence of t; fwd and fwd_bwd only.
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
        "cache": Option(True, (True, False), "decode from a key/value cache, or recompute all rows"),
        "causal": Option(True, (True, False), "see only the tokens up to itself, or all tokens"),
        "group": Option(1, (1, 2, 3, 4, 8), "heads of q per head of k and v"),
        "padding": Option(0.0, (0.0, 0.25, 0.5), "fraction of padding keys in every second sequence"),
        "varlen": varlen.VARLEN,
    }

    def complete(self, case: Case) -> Case:
        """Return the case with the options of this operator; `cache` applies to decode only."""
        complete = super().complete(case)
        if case.mode == "decode":
            return complete
        options = {name: value for name, value in complete.options.items() if name != "cache"}
        return complete.with_options(options)

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why a case is invalid: its groups, its mode if not causal, its padding, or varlen."""
        if case.H % group_of(case):
            return f"group = {group_of(case)} requires H in multiples of it, not {case.H}"
        if not case.options.get("causal", True) and case.mode in ("prefill", "decode"):
            return f"causal=false has no {case.mode}: a token sees those after it"
        if case.options.get("padding") and case.options.get("causal", True):
            return "padding requires causal=false: causal attention never sees padding at the end"
        if case.options.get("padding") and case.B == 1:
            return "padding requires B from 2: every second sequence is padded"
        return varlen.unsupported_reason(case)

    def mirror_axes(self, case: Case) -> str:
        """Return H alone where every second sequence is padded, else H and B."""
        return "H" if case.options.get("padding") else "HB"

    def call_tokens(self, case: Case) -> int:
        """Return 1 in decode with a cache, T + 1 without one, else T."""
        if case.mode == "decode" and not self._uses_cache(case):
            return case.T + 1
        return super().call_tokens(case)

    def output_tokens(self, case: Case) -> int:
        """Return 1 in decode, else T."""
        return super().call_tokens(case)

    def takes_state(self, case: Case) -> bool:
        """Return whether the call receives a cache."""
        return case.mode == "decode" and self._uses_cache(case)

    def returned_state(self, case: Case) -> tuple[TensorSpec, ...]:
        """Return the cache, except for decode without a cache."""
        return self.state if case.mode == "prefill" or self.takes_state(case) else ()

    def reference_head_bytes(self, case: Case) -> int:
        """Return the bytes of one head's float64 scores."""
        rows = 1 if self.takes_state(case) else case.T
        return 8 * case.B * max(rows * case.T, case.T * max(case.K, case.V))

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache from the full matrix of scores."""
        import torch

        q, k, v = (tensors[name] for name in "qkv")
        if state is not None:
            k, v = (torch.cat([cache[:, :-1], x], 1) for cache, x in zip(state, (k, v), strict=True))
        o = attend(q, k, v, bool(options["causal"]), float(options["padding"]), int(options["varlen"]))
        if not options["cache"]:
            return o[:, -1:], ()
        padding = (0, 0, 0, 0, 0, 0 if state is not None else 1)
        return o, tuple(torch.nn.functional.pad(x, padding) for x in (k, v))

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache key by key, with a running maximum and sum (arXiv:1805.02867)."""
        import torch

        del state
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")  # [B, H, T, D]
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        tokens = q.shape[2]
        visible = visible_keys(q.shape[0], tokens, float(options["padding"]), q.device)
        highest = q.new_full((*q.shape[:3], 1), -math.inf)
        total = q.new_zeros((*q.shape[:3], 1))
        o = q.new_zeros((*q.shape[:3], v.shape[-1]))
        sizes = varlen.lengths(tokens, int(options["varlen"]))
        spans = [(sum(sizes[:i]), sum(sizes[: i + 1])) for i, size in enumerate(sizes) for _ in range(size)]
        for u, (begin, end) in enumerate(spans):
            rows = slice(u if options["causal"] else begin, end)
            scores = (q[:, :, rows] * k[:, :, u : u + 1]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
            scores = scores.masked_fill(~visible[:, u, None, None, None], -math.inf)
            new = torch.maximum(highest[:, :, rows], scores)
            shrink, weight = (highest[:, :, rows] - new).exp(), (scores - new).exp()
            o = _replace_rows(o, rows, o[:, :, rows] * shrink + weight * v[:, :, u : u + 1])
            total = _replace_rows(total, rows, total[:, :, rows] * shrink + weight)
            highest = _replace_rows(highest, rows, new)
        free_slot = (0, 0, 0, 0, 0, 1)
        caches = tuple(torch.nn.functional.pad(tensors[name], free_slot) for name in "kv")
        return (o / total).transpose(1, 2), caches

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values: in full for short T, at sampled positions for long T.

        A sampled row of o, dq or the last token is exact, since it needs every key but no other query; dk
        and dv are exact at sampled keys of one head, since they need every query of that head. At T = 1 o is
        v, so dq and dk are zero and get a `zero_rms`. The reference receives a copy of the shared key head
        for each query head, and the gradients of the copies are summed.
        """
        group = group_of(case)
        if group == 1:
            return self._ungrouped(case, inputs, 1)
        state = None if inputs.state is None else tuple(x.repeat_interleave(group, 2) for x in inputs.state)
        tensors = {
            name: x if name == "q" else x.repeat_interleave(group, 2) for name, x in inputs.tensors.items()
        }
        options = {name: value for name, value in case.options.items() if name != "group"}
        expected = self._ungrouped(case.with_options(options), Inputs(tensors, state, inputs.upstream), group)
        for name, result in expected.items():
            if name in ("k_cache", "v_cache"):
                expected[name] = replace(result, value=result.value[:, :, ::group])
            elif name in ("dk", "dv") and result.index == (...,):
                expected[name] = replace(result, value=result.value.unflatten(2, (-1, group)).sum(3))
        return expected

    def _ungrouped(self, case: Case, inputs: Inputs, group: int) -> dict[str, Expected]:
        """Return the expected values with one key head per query head, including dk and dv of each.

        Only a small matrix of scores is computed in one piece; everything else in slices of 32 MiB.
        """
        import torch

        rows = 1 if self.takes_state(case) else case.T
        scores = case.B * case.H * case.T * rows
        if scores <= MAX_MATRIX_SCORES:
            return super().expected(case, inputs)
        device = inputs.tensors["q"].device
        sample = sampled_positions(case.T, case.seed, device)
        if case.mode == "fwd_bwd":
            if scores <= MAX_FULL_SCORES:
                return gradients_in_blocks(case, inputs)
            return sampled_gradients(case, inputs, sample, group)
        return sampled_output(
            case, inputs, torch.arange(case.T, device=device) if scores <= MAX_FULL_SCORES else sample
        )

    @varlen.sum_cost
    def cost(self, case: Case) -> Cost:
        """Return the cost of both products at the visible pairs: no later keys if causal, and no padding."""
        if case.mode == "decode":
            count = case.T + 1.0
        elif case.options.get("causal", True):
            count = case.T * (case.T + 1) / 2
        else:
            count = case.T * sum(lengths(case.B, case.T, float(case.options.get("padding", 0.0)))) / case.B
        return Cost(float(pairs(case, count)), self.least_bytes(case))

    @staticmethod
    def _uses_cache(case: Case) -> bool:
        return bool(case.options.get("cache", True))


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool, padding: float, sequences: int) -> Tensor:
    """Return softmax attention; all [B, T, H, D]; the heads of k and v divide the heads of q.

    If causal, the last query of q is at the last key of k. `padding` and `sequences` are the options padding
    and varlen.
    """
    import torch

    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
    rows, columns = q.shape[1], k.shape[1]
    scores = torch.einsum("bthk,buhk->bhtu", q, k) / math.sqrt(q.shape[-1])
    if causal:
        hidden = torch.ones(rows, columns, dtype=torch.bool, device=q.device).triu(columns - rows + 1)
        scores = scores.masked_fill(hidden, -math.inf)
    if padding:
        visible = visible_keys(k.shape[0], columns, padding, q.device)[:, None, None]
        scores = scores.masked_fill(~visible, -math.inf)
    if sequences > 1:
        sizes = varlen.lengths(columns, sequences)
        same_sequence = torch.block_diag(*(q.new_ones(size, size) for size in sizes)).bool()
        scores = scores.masked_fill(~same_sequence, -math.inf)
    return torch.einsum("bhtu,buhv->bthv", scores.softmax(-1), v)


def _replace_rows(x: Tensor, rows: slice, new: Tensor) -> Tensor:
    """Return x, [B, H, T, D], with some rows replaced."""
    import torch

    return torch.cat([x[:, :, : rows.start], new, x[:, :, rows.stop :]], 2)
