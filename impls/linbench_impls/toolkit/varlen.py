"""Packed: sequences of different lengths that stand one after another in one row of T tokens.

Sequence i is the tokens from starts[i] to starts[i + 1], as in cu_seqlens of flash-attn; none sees another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, wraps
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from linbench import Case, Cost, Operator, Option
from linbench.core.case import Scalar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

State = tuple["Tensor", ...]
ReferenceForm = Callable[..., tuple["Tensor", State]]

VARLEN = Option(1, (1, 2, 3, 8, 32), "sequences of different lengths in the one row of T tokens")


def count(case: Case) -> int:
    """Return how many sequences the row of a case holds."""
    return int(case.options.get("varlen", VARLEN.default))


def unsupported_reason(case: Case) -> str | None:
    """Return why a case cannot have varlen sequences, in one line, or None."""
    sequences = count(case)
    if sequences == 1:
        return None
    if case.mode in ("prefill", "decode"):
        return f"varlen sequences have no {case.mode}; take fwd or fwd_bwd"
    if case.options.get("initial_state"):
        return "varlen sequences start from nothing; leave initial_state out"
    if case.B > 1:
        return f"varlen sequences stand in one row: varlen={sequences} takes B = 1, not {case.B}"
    if 2 * sequences > case.T:
        return f"varlen={sequences} takes T from {2 * sequences}, not {case.T}"
    return None


@cache
def lengths(tokens: int, sequences: int) -> tuple[int, ...]:
    """Return the tokens of each sequence: T is cut at places drawn with T and their number as the seed."""
    cuts = random.Random(f"{tokens} {sequences}").sample(range(1, tokens), sequences - 1)
    return tuple(end - start for start, end in pairwise([0, *sorted(cuts), tokens]))


def begins(tokens: int, sequences: int) -> frozenset[int]:
    """Return the first token of every sequence but the first."""
    return frozenset(accumulate(lengths(tokens, sequences)[:-1]))


@lru_cache(maxsize=4)
def starts(tokens: int, sequences: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return where each sequence begins and the last ends, [sequences + 1]; made by a case's first call."""
    import torch

    return torch.tensor([0, *lengths(tokens, sequences)], device=device).cumsum(0).to(dtype)


def cu_seqlens(q: Tensor, sequences: int) -> Tensor | None:
    """Return where each sequence of q, [1, T, H, K], begins and the last ends, int32; None if it is one."""
    import torch

    return None if sequences == 1 else starts(q.shape[1], sequences, q.device, torch.int32)


@lru_cache(maxsize=1)
def owners(tokens: int, sequences: int, device: torch.device) -> Tensor:
    """Return which sequence each token is of, [T]; made by a case's first call."""
    import torch

    sizes = torch.tensor(lengths(tokens, sequences), device=device)
    return torch.arange(sequences, device=device).repeat_interleave(sizes)


@lru_cache(maxsize=1)
def mask(tokens: int, sequences: int, causal: bool, device: torch.device) -> Tensor:
    """Return which rows see which columns of their sequence, [T, T], bool; made by a case's first call."""
    owner = owners(tokens, sequences, device)
    same = owner[:, None] == owner
    return same.tril() if causal else same


def each(form: Callable[..., Tensor], tensors: Sequence[Tensor], sequences: int, axis: int) -> Tensor:
    """Return what a form gives for each sequence by itself, packed again; `axis` is that of the tokens."""
    import torch

    if sequences == 1:
        return form(*tensors)
    sizes = lengths(tensors[0].shape[axis], sequences)
    parts = zip(*(x.split(sizes, axis) for x in tensors), strict=True)
    return torch.cat([form(*some) for some in parts], axis)


def alone(case: Case) -> list[Case]:
    """Return the case of each packed sequence by itself."""
    options = {name: value for name, value in case.options.items() if name != "varlen"}
    return [replace(case, T=size, options=options) for size in lengths(case.T, count(case))]


def flops_of_each(flops: Callable[[Case], float]) -> Callable[[Case], float]:
    """Return what gives the operations of an implementation that takes varlen sequences one by one."""

    @wraps(flops)
    def whole(case: Case) -> float:
        return flops(case) if count(case) == 1 else sum(map(flops, alone(case)))

    return whole


def cost_of_each(cost: Callable[..., Cost]) -> Callable[..., Cost]:
    """Return an operator's cost with the operations of varlen sequences added up."""

    @wraps(cost)
    def whole(self: Operator, case: Case) -> Cost:
        found = cost(self, case)
        if count(case) == 1:
            return found
        return replace(found, flops=sum(cost(self, one).flops for one in alone(case)))

    return whole


def by_sequence(form: ReferenceForm) -> ReferenceForm:
    """Return a form of a reference that takes varlen sequences one by one; its state is that of the last."""

    @wraps(form)
    def whole(
        self: Operator,
        tensors: Mapping[str, Tensor],
        state: State | None,
        options: Mapping[str, Scalar],
    ) -> tuple[Tensor, State]:
        import torch

        if options["varlen"] == 1:
            return form(self, tensors, state, options)
        sizes = lengths(tensors["q"].shape[1], int(options["varlen"]))
        parts = {
            spec.name: tensors[spec.name].split(sizes, 1)
            if "T" in spec.axes
            else [tensors[spec.name]] * len(sizes)
            for spec in self.inputs
        }
        found = [
            form(self, {name: x[i] for name, x in parts.items()}, state, options) for i in range(len(sizes))
        ]
        return torch.cat([o for o, _ in found], 1), found[-1][1]

    return whole
