"""SizedSpec: a tensor with an axis whose size is computed from a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from linbench import Case, TensorSpec


@dataclass(frozen=True)
class SizedSpec(TensorSpec):
    """A named tensor with axes whose sizes the operator computes from a case.

    Attributes:
        sizes: For the letter of an axis, the function that returns its size at a case.
    """

    sizes: Mapping[str, Callable[[Case], int]] = field(default_factory=dict, hash=False)

    def shape(self, case: Case, tokens: int) -> tuple[int, ...]:
        """Return the sizes of the axes at a case whose call processes `tokens` tokens."""
        sizes = {letter: size(case) for letter, size in self.sizes.items()}
        return tuple(
            sizes[axis] if axis in sizes else TensorSpec(self.name, axis).shape(case, tokens)[0]
            for axis in self.axes
        )
