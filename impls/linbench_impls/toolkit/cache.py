"""Base class of operators whose state is a key/value cache with one free slot at the end."""

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
    """Return the specs of a key/value cache in which the size of one axis, L or H, depends on the case."""
    sizes = {axis: size}
    return (
        SizedSpec("k_cache", "BLHK", is_copy=True, sizes=sizes),
        SizedSpec("v_cache", "BLHV", is_copy=True, sizes=sizes),
    )


def new_cache(x: Tensor, tokens: int) -> Tensor:
    """Return a cache with a copy of the last keys or values of x [B, H, T, D] and one free slot."""
    cache = x.new_empty(*x.shape[:2], tokens + 1, x.shape[3])
    cache[:, :, :tokens] = x[:, :, x.shape[2] - tokens :]
    return cache


class CacheOperator(Operator):
    """An operator with a key/value cache in the case's dtype; decode writes into the last slot."""

    def draw_state(self, case: Case, generator: Generator) -> State:
        """Return a cache of random tokens in the case's dtype, with NaN in the last slot."""
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

    def restore(self, live: Sequence[Tensor], original: Sequence[Tensor]) -> None:
        """Clear the last slot of the cache, the only one that a step writes."""
        del original
        for cache in live:
            cache[:, -1] = math.nan

    def state_bytes(self, case: Case) -> int:
        """Return the bytes of the cache."""
        return case.item_bytes * sum(math.prod(spec.shape(case, 1)) for spec in self.state)

    def least_bytes(self, case: Case) -> int:
        """Return the least memory traffic: prefill fills and decode reads all slots of a cache but the last.

        Decode writes the last slot without reading it.
        """
        traffic = self.input_bytes(case) + self.output_bytes(case)
        if self.takes_state(case):
            return traffic - self.state_bytes(case)
        slots = self.state[0].shape(case, 1)[1]
        return traffic - (self.state_bytes(case) // slots if case.mode == "prefill" else 0)

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected values; those of a cache cover only the slots that prefill has to write.

        At T = 1 o is v, so dq and dk are zero and get a `zero_rms`.
        """
        expected = super().expected(case, inputs)
        if case.T == 1:
            expected |= {
                name: replace(expected[name], zero_rms=1.0) for name in expected.keys() & {"dq", "dk"}
            }
        if case.mode == "prefill":
            slots = (slice(None), slice(0, self.state[0].shape(case, 1)[1] - 1))
            for name in ("k_cache", "v_cache"):
                expected[name] = Expected(expected[name].value[slots], slots)
        return expected
