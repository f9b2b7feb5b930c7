"""Varlen: sequences of different lengths, concatenated in one row of T tokens.

Sequence i is the tokens from starts[i] to starts[i + 1], as in cu_seqlens of flash-attn. No sequence sees
another one.
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

VARLEN = Option(1, (1, 2, 3, 8, 32), "number of sequences of different lengths in one row of T tokens")


def sequence_count(case: Case) -> int:
    """Return the number of sequences in the row of a case."""
    return int(case.options.get("varlen", VARLEN.default))


def unsupported_reason(case: Case) -> str | None:
    """Return in one line why a case cannot have varlen sequences, or None."""
    sequences = sequence_count(case)
    if sequences == 1:
        return None
    if case.mode in ("prefill", "decode"):
        return f"varlen sequences have no {case.mode}; use fwd or fwd_bwd"
    if case.options.get("initial_state"):
        return "varlen sequences have no initial state; leave initial_state out"
    if case.B > 1:
        return f"varlen sequences are in one row: varlen={sequences} requires B = 1, not {case.B}"
    if 2 * sequences > case.T:
        return f"varlen={sequences} requires T from {2 * sequences}, not {case.T}"
    return None


@cache
def lengths(tokens: int, sequences: int) -> tuple[int, ...]:
    """Return the tokens of each sequence: T is cut at random positions, seeded with T and their number."""
    cuts = random.Random(f"{tokens} {sequences}").sample(range(1, tokens), sequences - 1)
    return tuple(end - start for start, end in pairwise([0, *sorted(cuts), tokens]))


def first_tokens(tokens: int, sequences: int) -> frozenset[int]:
    """Return the first token of every sequence except the first sequence."""
    return frozenset(accumulate(lengths(tokens, sequences)[:-1]))


@lru_cache(maxsize=4)
def starts(tokens: int, sequences: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the start of each sequence and the end of the last, [sequences + 1]; cached for a case."""
    import torch

    return torch.tensor([0, *lengths(tokens, sequences)], device=device).cumsum(0).to(dtype)


def cu_seqlens(q: Tensor, sequences: int) -> Tensor | None:
    """Return the start of each sequence of q, [1, T, H, K], and the end, int32; None for one sequence."""
    import torch

    return None if sequences == 1 else starts(q.shape[1], sequences, q.device, torch.int32)


@lru_cache(maxsize=1)
def sequence_ids(tokens: int, sequences: int, device: torch.device) -> Tensor:
    """Return the index of the sequence of each token, [T]; cached for a case."""
    import torch

    sizes = torch.tensor(lengths(tokens, sequences), device=device)
    return torch.arange(sequences, device=device).repeat_interleave(sizes)


@lru_cache(maxsize=1)
def sequence_mask(tokens: int, sequences: int, causal: bool, device: torch.device) -> Tensor:
    """Return the mask of the columns that each row sees in its sequence, [T, T], bool; cached for a case."""
    ids = sequence_ids(tokens, sequences, device)
    same_sequence = ids[:, None] == ids
    return same_sequence.tril() if causal else same_sequence


def map_sequences(
    form: Callable[..., Tensor], tensors: Sequence[Tensor], sequences: int, axis: int
) -> Tensor:
    """Return the concatenated outputs of a form for each sequence; `axis` is the axis of tokens."""
    import torch

    if sequences == 1:
        return form(*tensors)
    sizes = lengths(tensors[0].shape[axis], sequences)
    parts = zip(*(x.split(sizes, axis) for x in tensors), strict=True)
    return torch.cat([form(*part) for part in parts], axis)


def sequence_cases(case: Case) -> list[Case]:
    """Return a case of its own for each varlen sequence."""
    options = {name: value for name, value in case.options.items() if name != "varlen"}
    return [replace(case, T=size, options=options) for size in lengths(case.T, sequence_count(case))]


def sum_flops(flops: Callable[[Case], float]) -> Callable[[Case], float]:
    """Return the flops function of an implementation that computes varlen sequences one by one."""

    @wraps(flops)
    def total(case: Case) -> float:
        return flops(case) if sequence_count(case) == 1 else sum(map(flops, sequence_cases(case)))

    return total


def sum_cost(cost: Callable[..., Cost]) -> Callable[..., Cost]:
    """Return an operator's cost function that adds up the operations of varlen sequences."""

    @wraps(cost)
    def total(self: Operator, case: Case) -> Cost:
        row = cost(self, case)
        if sequence_count(case) == 1:
            return row
        return replace(row, flops=sum(cost(self, sequence).flops for sequence in sequence_cases(case)))

    return total


def per_sequence(form: ReferenceForm) -> ReferenceForm:
    """Return a form of a reference that computes varlen sequences one by one; it returns the last state."""

    @wraps(form)
    def compute(
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
        results = [
            form(self, {name: x[i] for name, x in parts.items()}, state, options) for i in range(len(sizes))
        ]
        return torch.cat([o for o, _ in results], 1), results[-1][1]

    return compute
