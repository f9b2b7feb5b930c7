"""Cached: what is common to operators whose state is a cache of keys and values, its last slot free."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from linbench import Case, Expected, Inputs, Operator
from linbench.core.case import Scalar
from linbench_impls.toolkit.spec import SizedSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor

State = tuple["Tensor", ...]


def cache_specs(axis: str, size: Callable[[Case], int]) -> tuple[SizedSpec, SizedSpec]:
    """Return the state of a cache of keys and values, one axis of which has a size of its own, as L or H."""
    return SizedSpec("k_cache", "BLHK", sizes={axis: size}), SizedSpec("v_cache", "BLHV", sizes={axis: size})


def cache_of(x: Tensor, kept: int) -> Tensor:
    """Return a copy of the last keys or values of x [B, H, T, D], with one slot to spare."""
    cache = x.new_empty(*x.shape[:2], kept + 1, x.shape[3])
    cache[:, :, :kept] = x[:, :, x.shape[2] - kept :]
    return cache


class Cached(Operator):
    """An operator with a cache of keys and values in the case's dtype; decode writes into the last slot."""

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return a cache of random tokens in the case's dtype, its last slot NaN until it is written."""
        import torch

        caches = tuple(part.to(getattr(torch, case.dtype)) for part in super().draw_state(case, generator))
        for cache in caches:
            cache[:, -1] = math.nan
        return caches

    def plain(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and cache, computed in the dtype of the inputs."""
        return self.reference(tensors, state, options)

    def restore(self, live: Sequence[Tensor], kept: Sequence[Tensor]) -> None:
        """Empty the last slot of the cache; a step writes no other."""
        del kept
        for cache in live:
            cache[:, -1] = math.nan

    def state_bytes(self, case: Case) -> int:
        """Return the bytes of the cache."""
        return case.item_bytes * sum(math.prod(spec.shape(case, 1)) for spec in self.state)

    def fewest_bytes(self, case: Case) -> int:
        """Return the bytes of what comes and goes: of a cache, prefill fills and decode reads all but a slot.

        Decode writes that one, and finds nothing in it.
        """
        moved = self.input_bytes(case) + self.output_bytes(case)
        if self.takes_state(case):
            return moved - self.state_bytes(case)
        slots = self.state[0].shape(case, 1)[1]
        return moved - (self.state_bytes(case) // slots if case.mode == "prefill" else 0)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the exact results: of a cache what prefill has to write.

        At T = 1 o is v, so that dq and dk are zero and named as such.
        """
        found = super().expected(case, inputs)
        if case.T == 1:
            found |= {name: replace(found[name], zero_rms=1.0) for name in found.keys() & {"dq", "dk"}}
        if case.mode == "prefill":
            written = (slice(None), slice(0, self.state[0].shape(case, 1)[1] - 1))
            for name in ("k_cache", "v_cache"):
                found[name] = Expected(found[name].value[written], written)
        return found
