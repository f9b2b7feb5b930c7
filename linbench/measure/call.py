"""Call: an implementation bound to the inputs of a case, ready to be timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from linbench.core.case import Case
from linbench.core.implementation import Implementation
from linbench.core.operator import Operator
from linbench.core.tensor import Inputs, TensorSpec
from linbench.measure.hygiene import reseed, spoil

Checksum = tuple[int, int]


class WrongResult(Exception):
    """A call returned something that is not of the form that its mode asks for."""


class InputsInLayout:
    """The inputs of a case in each layout that was asked for; implementations of one layout share them."""

    def __init__(self, operator: Operator, case: Case) -> None:
        self.operator = operator
        self.case = case
        self.canonical = self.generate(case.seed)
        self._by_layout: dict[str, Inputs] = {}
        self._checksums: dict[str, list[Checksum]] = {}

    def of(self, implementation: Implementation) -> Inputs:
        """Return the inputs in an implementation's layout; made once."""
        layout = implementation.layout
        if layout not in self._by_layout:
            self._by_layout[layout] = self.lay_out(self.canonical, implementation)
            self._checksums[layout] = self._sums(layout)
        return self._by_layout[layout]

    def changed(self, implementation: Implementation) -> str | None:
        """Return the name of an input that is no longer what it was, or None."""
        layout = implementation.layout
        now, before = self._sums(layout), self._checksums[layout]
        for name, one, other in zip(_by_name(self._by_layout[layout]), now, before, strict=True):
            if one != other:
                return name
        return None

    def restore(self, implementation: Implementation) -> None:
        """Make the inputs of an implementation's layout again, in place."""
        self.canonical = self.generate(self.case.seed)
        fresh = _by_name(self.lay_out(self.canonical, implementation))
        for name, tensor in _by_name(self._by_layout[implementation.layout]).items():
            tensor.copy_(fresh[name])

    def generate(self, seed: int) -> Inputs:
        """Return inputs of the case from a seed, in the canonical layout."""
        generator = torch.Generator(device=self.case.device).manual_seed(seed)
        return self.operator.generate(self.case, generator)

    def lay_out(self, given: Inputs, implementation: Implementation) -> Inputs:
        """Return canonical inputs in an implementation's layout."""
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
        return [_checksum(tensor) for tensor in _by_name(self._by_layout[layout]).values()]


class Call:
    """One implementation at one case: `prepare` outside the timed region, then call it.

    fwd and prefill run without autograd. fwd_bwd runs the forward and `torch.autograd.grad` for every
    differentiable input, so that nothing is accumulated and nothing has to be cleared; that of an input which
    the output does not depend on is zero. decode is given a
    state of its own, which `prepare` puts back to where it stood.
    """

    def __init__(
        self, operator: Operator, implementation: Implementation, case: Case, in_layout: InputsInLayout
    ) -> None:
        self.operator = operator
        self.implementation = implementation
        self.case = case
        self._inputs = in_layout
        self._function = implementation.function(case.mode)
        self._bind(in_layout.of(implementation))

    def _bind(self, in_layout: Inputs) -> None:
        """Take inputs to be called with, and a copy of their state."""
        self._in_layout = in_layout
        differentiate = self.case.mode == "fwd_bwd"
        self._tensors = [
            in_layout.tensors[spec.name].detach().requires_grad_(differentiate and spec.differentiable)
            for spec in self.operator.inputs
        ]
        self._state: tuple[Tensor, ...] | None = None
        if in_layout.state is not None:
            copies = (tensor.clone() for tensor in in_layout.state)
            self._state = tuple(tensor.requires_grad_(differentiate) for tensor in copies)
        mode = self.case.mode
        values = self.operator.option_values(self.case)
        self._keywords: dict[str, object] = {
            name: value for name, value in values.items() if self.implementation.accepts(mode, name)
        }
        if self._state is not None:
            self._keywords["state"] = self._state

    def prepare(self) -> None:
        """Put back what the call before may have advanced: the state, and torch's random numbers."""
        reseed(self.case.seed)
        if self.advances and self._state is not None and self._in_layout.state is not None:
            self.operator.restore(self._canonical(self._state), self._canonical(self._in_layout.state))

    def __call__(self) -> object:
        """Return what the implementation returns; this is the timed region."""
        if self.case.mode != "fwd_bwd":
            with torch.no_grad():
                return self.forward()
        output = self.forward()
        return output, self.backward(output)

    def forward(self) -> Any:
        """Return what the function of the mode returns."""
        return self._function(*self._tensors, **self._keywords)

    def backward(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return the gradient of every differentiable input, by an output of `forward`."""
        leaves = [tensor for tensor in (*self._tensors, *(self._state or ())) if tensor.requires_grad]
        return torch.autograd.grad(
            output, leaves, self._in_layout.upstream, allow_unused=True, materialize_grads=True
        )

    @property
    def advances(self) -> bool:
        """Whether a call may advance its state in place, so that `prepare` must come before the next."""
        return self.case.mode == "decode" and self._state is not None

    @property
    def input_bytes(self) -> int:
        """Bytes that a call is given: inputs, state and upstream gradient."""
        return sum(tensor.nbytes for tensor in self.held)

    def rotated(self, n: int) -> list[Call]:
        """Return this call n times, each on copies of the inputs and with a state of its own."""
        calls = []
        for _ in range(n):
            upstream = None if self._in_layout.upstream is None else self._in_layout.upstream.clone()
            tensors = {name: tensor.clone() for name, tensor in self._in_layout.tensors.items()}
            call = copy(self)
            call._bind(replace(self._in_layout, tensors=tensors, upstream=upstream))
            calls.append(call)
        return calls

    def spoil(self, returned: object) -> None:
        """Fill with NaN what a call returned, but not what of it lies in an input or in the state."""
        spoil(returned, self.held)

    @property
    def given(self) -> dict[str, Tensor]:
        """The inputs by name, as the implementation sees them."""
        return dict(zip(self._in_layout.tensors, self._tensors, strict=True))

    @property
    def mirror_axis(self) -> str | None:
        """The axis along which inputs can be reversed and results with them; None where each has length 1."""
        return next(
            (axis for axis in self.operator.mirror_axes(self.case) if getattr(self.case, axis) > 1), None
        )

    @contextmanager
    def mirrored(self, axis: str) -> Iterator[None]:
        """Reverse the order of the heads, or of the batch, of all inputs in place, and back in the end.

        Heads are independent of each other, and so are the sequences of a batch: every result must come out
        in reverse order.
        """
        self._reverse(axis)
        try:
            yield
        finally:
            self._reverse(axis)

    @contextmanager
    def reseeded(self) -> Iterator[tuple[Case, Inputs]]:
        """Fill the inputs in place from another seed, and back in the end; yield that case and its inputs."""
        other = replace(self.case, seed=self.case.seed + 1)
        try:
            self._fill(self._inputs.generate(other.seed))
            yield other, self._inputs.generate(other.seed)
        finally:
            self._fill(self._inputs.generate(self.case.seed))

    def results(self, returned: object, mirror_axis: str | None = None) -> dict[str, Tensor]:
        """Return what a call returned, by name and in the canonical layout.

        Args:
            returned: What the call returned.
            mirror_axis: The axis along which the inputs were reversed; the results are, too, which undoes it.

        Raises:
            WrongResult: It is not of the form, the shape or the dtype that the mode asks for.
        """
        found = self._named(self._parts(returned))
        if mirror_axis is not None:
            for spec in self.specs:
                if mirror_axis in spec.axes:
                    found[spec.name] = found[spec.name].flip(spec.axes.index(mirror_axis))
        return found

    @property
    def specs(self) -> list[TensorSpec]:
        """What a call is to return, in order."""
        operator = self.operator
        if self.case.mode != "fwd_bwd":
            return [operator.output, *operator.returned_state(self.case)]
        leaves = [spec for spec in operator.inputs if spec.differentiable]
        leaves += operator.state if self._state is not None else ()
        return [operator.output, *(replace(spec, name=f"d{spec.name}") for spec in leaves)]

    def _parts(self, returned: object) -> list[object]:
        """Return what a call returned as a flat list."""
        mode = self.case.mode
        if mode == "fwd":
            return [returned]
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise WrongResult(f"{mode} must return (output, state), not {_describe(returned)}")
        output, rest = returned
        if not isinstance(rest, tuple | list):
            rest = (rest,)
        return [output, *rest]

    def _storages(self) -> Iterator[tuple[TensorSpec, Tensor]]:
        """Yield every tensor that a call reads, a state twice: as it is kept, and as it is given."""
        operator, in_layout = self.operator, self._in_layout
        yield from zip(operator.inputs, in_layout.tensors.values(), strict=True)
        for state in (in_layout.state, self._state):
            if state is not None:
                yield from zip(operator.state, state, strict=True)
        if in_layout.upstream is not None:
            yield operator.output, in_layout.upstream

    @property
    def held(self) -> list[Tensor]:
        """Every tensor that a call is given: inputs, its state and the upstream gradient."""
        upstream = () if self._in_layout.upstream is None else (self._in_layout.upstream,)
        return [*self._tensors, *(self._state or ()), *upstream]

    @torch.no_grad()
    def _reverse(self, axis: str) -> None:
        for spec, tensor in self._storages():
            if axis in spec.axes:
                view = self.implementation.canonical(tensor, spec)
                view.copy_(view.flip(spec.axes.index(axis)))

    @torch.no_grad()
    def _fill(self, inputs: Inputs) -> None:
        fresh = [*inputs.tensors.values(), *2 * (inputs.state or ())]
        if inputs.upstream is not None:
            fresh.append(inputs.upstream)
        for (spec, tensor), value in zip(self._storages(), fresh, strict=True):
            self.implementation.canonical(tensor, spec).copy_(value)

    def _canonical(self, state: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(state, self.operator.state, strict=True)
        return [self.implementation.canonical(tensor, spec) for tensor, spec in pairs]

    def _named(self, tensors: Sequence[object]) -> dict[str, Tensor]:
        specs = self.specs
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


def _describe(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _by_name(inputs: Inputs) -> dict[str, Tensor]:
    """Return what an implementation is given and may not change; its state is a copy of its own."""
    upstream = {} if inputs.upstream is None else {"upstream gradient": inputs.upstream}
    return {**inputs.tensors, **upstream}


def _checksum(tensor: Tensor) -> Checksum:
    """Return two sums over the bits of a tensor: of all elements, and of every third."""
    whole = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
    bits = tensor.detach().view(whole).flatten()
    return int(bits.sum(dtype=torch.int64)), int(bits[::3].sum(dtype=torch.int64))
