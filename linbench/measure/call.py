"""Call: an implementation bound to the inputs of a case, ready to be timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from linbench.core.case import Case
from linbench.core.implementation import Implementation
from linbench.core.operator import Inputs, Operator, TensorSpec

Checksum = tuple[int, int]


class WrongResult(Exception):
    """A call returned something that is not of the form that its mode asks for."""


class LaidInputs:
    """The inputs of a case in each layout that was asked for; implementations of one layout share them."""

    def __init__(self, operator: Operator, case: Case) -> None:
        self.operator = operator
        self.case = case
        self.canonical = self._generate()
        self._by_layout: dict[str, Inputs] = {}
        self._checksums: dict[str, list[Checksum]] = {}

    def of(self, implementation: Implementation) -> Inputs:
        """Return the inputs in an implementation's layout; made once."""
        layout = implementation.layout
        if layout not in self._by_layout:
            self._by_layout[layout] = self._lay_out(self.canonical, implementation)
            self._checksums[layout] = self._sums(layout)
        return self._by_layout[layout]

    def changed(self, implementation: Implementation) -> str | None:
        """Return the name of an input that is no longer what it was, or None."""
        layout = implementation.layout
        now, before = self._sums(layout), self._checksums[layout]
        for name, one, other in zip(self._by_layout[layout].tensors, now, before, strict=True):
            if one != other:
                return name
        return None

    def restore(self, implementation: Implementation) -> None:
        """Make the inputs of an implementation's layout again, in place."""
        self.canonical = self._generate()
        fresh = self._lay_out(self.canonical, implementation)
        for name, tensor in self._by_layout[implementation.layout].tensors.items():
            tensor.copy_(fresh.tensors[name])

    def _generate(self) -> Inputs:
        generator = torch.Generator(device=self.case.device).manual_seed(self.case.seed)
        return self.operator.generate(self.case, generator)

    def _lay_out(self, given: Inputs, implementation: Implementation) -> Inputs:
        operator = self.operator
        tensors = {
            spec.name: implementation.lay_out(given.tensors[spec.name], spec) for spec in operator.inputs
        }
        state = upstream = None
        if given.state is not None:
            pairs = zip(given.state, operator.state, strict=True)
            state = tuple(implementation.lay_out(tensor, spec) for tensor, spec in pairs)
        if given.upstream is not None:
            upstream = implementation.lay_out(given.upstream, operator.output)
        return Inputs(tensors, state, upstream)

    def _sums(self, layout: str) -> list[Checksum]:
        return [_checksum(tensor) for tensor in self._by_layout[layout].tensors.values()]


class Call:
    """One implementation at one case: `prepare` outside the timed region, then call it.

    fwd and prefill run without autograd. fwd_bwd runs the forward and `torch.autograd.grad` for every
    input, so that nothing is accumulated and nothing has to be cleared. decode is given a state of its own,
    which `prepare` puts back to where it stood.
    """

    def __init__(
        self, operator: Operator, implementation: Implementation, case: Case, laid: LaidInputs
    ) -> None:
        self.operator = operator
        self.implementation = implementation
        self.case = case
        self._laid = laid.of(implementation)
        self._function = implementation.function(case.mode)
        differentiate = case.mode == "fwd_bwd"
        self._tensors = [
            tensor.detach().requires_grad_(differentiate) for tensor in self._laid.tensors.values()
        ]
        self._state: tuple[Tensor, ...] | None = None
        if self._laid.state is not None:
            copies = (tensor.clone() for tensor in self._laid.state)
            self._state = tuple(copy.requires_grad_(differentiate) for copy in copies)
        values = operator.option_values(case)
        self._keywords: dict[str, Any] = {
            name: value for name, value in values.items() if implementation.accepts(case.mode, name)
        }
        if self._state is not None:
            self._keywords["state"] = self._state

    def prepare(self) -> None:
        """Put back what the call before may have advanced."""
        if self.case.mode == "decode" and self._state is not None and self._laid.state is not None:
            self.operator.restore(self._canonical(self._state), self._canonical(self._laid.state))

    def __call__(self) -> Any:
        """Return what the implementation returns; this is the timed region."""
        if self.case.mode != "fwd_bwd":
            with torch.no_grad():
                return self._function(*self._tensors, **self._keywords)
        output = self._function(*self._tensors, **self._keywords)
        leaves = (*self._tensors, *(self._state or ()))
        return output, torch.autograd.grad(output, leaves, self._laid.upstream)

    def results(self, returned: Any) -> dict[str, Tensor]:
        """Return what a call returned, by name and in the canonical layout.

        Raises:
            WrongResult: It is not of the form, the shape or the dtype that the mode asks for.
        """
        operator, mode = self.operator, self.case.mode
        if mode == "fwd":
            return self._named([operator.output], [returned])
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise WrongResult(f"{mode} must return (output, state), not {_describe(returned)}")
        output, rest = returned
        if not isinstance(rest, tuple | list):
            rest = (rest,)
        if mode == "fwd_bwd":
            specs = [*operator.inputs, *(operator.state if self._state is not None else ())]
            gradients = [TensorSpec(f"d{spec.name}", spec.axes) for spec in specs]
            return self._named([operator.output, *gradients], [output, *rest])
        return self._named([operator.output, *operator.returned_state(self.case)], [output, *rest])

    def _canonical(self, state: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(state, self.operator.state, strict=True)
        return [self.implementation.canonical(tensor, spec) for tensor, spec in pairs]

    def _named(self, specs: Sequence[TensorSpec], tensors: Sequence[Any]) -> dict[str, Tensor]:
        if len(specs) != len(tensors):
            names = ", ".join(spec.name for spec in specs)
            raise WrongResult(f"returned {len(tensors)} tensors where {len(specs)} were due: {names}")
        found = {}
        for spec, tensor in zip(specs, tensors, strict=True):
            if not isinstance(tensor, Tensor):
                raise WrongResult(f"returned {_describe(tensor)} for {spec.name}, where a tensor was due")
            if tensor.dim() == len(spec.axes):
                tensor = self.implementation.canonical(tensor, spec)
            whole = self.operator.call_tokens(self.case)
            tokens = self.operator.output_tokens(self.case) if spec is self.operator.output else whole
            due = spec.shape(self.case, tokens)
            if tuple(tensor.shape) != due:
                raise WrongResult(f"returned {spec.name} of shape {tuple(tensor.shape)}, expected {due}")
            found[spec.name] = tensor.detach()
        output = found[self.operator.output.name]
        if str(output.dtype) != f"torch.{self.case.dtype}":
            raise WrongResult(f"returned {output.dtype}, expected torch.{self.case.dtype}")
        return found


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _checksum(tensor: Tensor) -> Checksum:
    """Return two sums over the bits of a tensor: of all elements, and of every third."""
    whole = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
    bits = tensor.detach().view(whole).flatten()
    return int(bits.sum(dtype=torch.int64)), int(bits[::3].sum(dtype=torch.int64))
