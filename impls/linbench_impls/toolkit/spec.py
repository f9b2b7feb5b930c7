"""SizedSpec: a tensor with an axis whose size is not one of a case's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from linbench import Case, TensorSpec


@dataclass(frozen=True)
class SizedSpec(TensorSpec):
    """A named tensor some of whose axes have sizes that the operator works out of a case.

    Attributes:
        sizes: By letter of an axis, what gives its size at a case.
    """

    sizes: Mapping[str, Callable[[Case], int]] = field(default_factory=dict, hash=False)

    def shape(self, case: Case, tokens: int) -> tuple[int, ...]:
        """Return the sizes of the axes at a case whose call processes `tokens` tokens."""
        own = {letter: size(case) for letter, size in self.sizes.items()}
        return tuple(
            own[axis] if axis in own else TensorSpec(self.name, axis).shape(case, tokens)[0]
            for axis in self.axes
        )
