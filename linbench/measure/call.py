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
    """A call returned something that is not in the form that its mode requires."""


class InputsInLayout:
    """The inputs of a case in each layout in use; implementations with the same layout share them."""

    def __init__(self, operator: Operator, case: Case) -> None:
        self.operator = operator
        self.case = case
        self.canonical = self.generate(case.seed)
        self._by_layout: dict[str, Inputs] = {}
        self._checksums: dict[str, list[Checksum]] = {}

    def of(self, implementation: Implementation) -> Inputs:
        """Return the inputs in an implementation's layout; they are created once."""
        layout = implementation.layout
        if layout not in self._by_layout:
            self._by_layout[layout] = self.lay_out(self.canonical, implementation)
            self._checksums[layout] = self._sums(layout)
        return self._by_layout[layout]

    def changed(self, implementation: Implementation) -> str | None:
        """Return the name of an input whose values have changed, or None."""
        layout = implementation.layout
        sums, before = self._sums(layout), self._checksums[layout]
        for name, checksum, original in zip(_by_name(self._by_layout[layout]), sums, before, strict=True):
            if checksum != original:
                return name
        return None

    def restore(self, implementation: Implementation) -> None:
        """Regenerate the inputs of an implementation's layout in place."""
        self.canonical = self.generate(self.case.seed)
        fresh = _by_name(self.lay_out(self.canonical, implementation))
        for name, tensor in _by_name(self._by_layout[implementation.layout]).items():
            tensor.copy_(fresh[name])

    def generate(self, seed: int) -> Inputs:
        """Return inputs of the case from a seed, in the canonical layout."""
        generator = torch.Generator(device=self.case.device).manual_seed(seed)
        return self.operator.generate(self.case, generator)

    def lay_out(self, inputs: Inputs, implementation: Implementation) -> Inputs:
        """Return canonical inputs in an implementation's layout."""
        operator = self.operator
        tensors = {
            spec.name: implementation.lay_out(inputs.tensors[spec.name], spec) for spec in operator.inputs
        }
        state = upstream = None
        if inputs.state is not None:
            pairs = zip(inputs.state, operator.state, strict=True)
            state = tuple(implementation.lay_out(tensor, spec) for tensor, spec in pairs)
        if inputs.upstream is not None:
            upstream = implementation.lay_out(inputs.upstream, operator.output)
        return Inputs(tensors, state, upstream)

    def _sums(self, layout: str) -> list[Checksum]:
        return [_checksum(tensor) for tensor in _by_name(self._by_layout[layout]).values()]


class Call:
    """One implementation at one case: `prepare` outside the timed region, then call it.

    fwd and prefill run without autograd. fwd_bwd runs forward and `torch.autograd.grad` for every
    differentiable input, so that no gradients accumulate or have to be cleared; the gradient of an input that
    the output does not depend on is zero. decode receives a state of its own, which `prepare` restores.
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
        """Set the inputs of the call, with a copy of their state."""
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
        """Restore what the previous call may have changed: the state, and torch's random numbers."""
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
        """Return the results of the function of the mode."""
        return self._function(*self._tensors, **self._keywords)

    def backward(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return the gradient of every differentiable input from an output of `forward`."""
        leaves = [tensor for tensor in (*self._tensors, *(self._state or ())) if tensor.requires_grad]
        return torch.autograd.grad(
            output, leaves, self._in_layout.upstream, allow_unused=True, materialize_grads=True
        )

    @property
    def advances(self) -> bool:
        """Whether a call may update its state in place, so that `prepare` must precede the next call."""
        return self.case.mode == "decode" and self._state is not None

    @property
    def input_bytes(self) -> int:
        """Bytes of the inputs, state and upstream gradient."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def rotated(self, n: int) -> list[Call]:
        """Return n copies of this call, each on copies of the inputs and with a state of its own."""
        calls = []
        for _ in range(n):
            upstream = None if self._in_layout.upstream is None else self._in_layout.upstream.clone()
            tensors = {name: tensor.clone() for name, tensor in self._in_layout.tensors.items()}
            call = copy(self)
            call._bind(replace(self._in_layout, tensors=tensors, upstream=upstream))
            calls.append(call)
        return calls

    def on(self, inputs: InputsInLayout) -> Call:
        """Return this call on other inputs of the same case."""
        return Call(self.operator, self.implementation, self.case, inputs)

    def spoil(self, returned: object) -> None:
        """Fill the results of a call with NaN, except those that alias an input or the state."""
        spoil(returned, self.tensors)

    @property
    def named_inputs(self) -> dict[str, Tensor]:
        """The inputs by name, as passed to the implementation."""
        return dict(zip(self._in_layout.tensors, self._tensors, strict=True))

    @property
    def mirror_axis(self) -> str | None:
        """The axis along which reversed inputs give reversed results; None if each such axis has length 1."""
        return next(
            (axis for axis in self.operator.mirror_axes(self.case) if getattr(self.case, axis) > 1), None
        )

    @contextmanager
    def mirrored_inputs(self, axis: str) -> Iterator[None]:
        """Reverse the order of the heads, or of the batch, of all inputs in place; restore it on exit.

        Heads are independent of each other, and so are the sequences of a batch: every result must be in
        reverse order.
        """
        self._reverse(axis)
        try:
            yield
        finally:
            self._reverse(axis)

    @contextmanager
    def reseeded_inputs(self) -> Iterator[tuple[Case, Inputs]]:
        """Fill the inputs in place from another seed and yield its case and inputs; restore them on exit."""
        case = replace(self.case, seed=self.case.seed + 1)
        try:
            self._fill(self._inputs.generate(case.seed))
            yield case, self._inputs.generate(case.seed)
        finally:
            self._fill(self._inputs.generate(self.case.seed))

    def results(self, returned: object, mirror_axis: str | None = None) -> dict[str, Tensor]:
        """Return the results of a call by name and in the canonical layout.

        Args:
            returned: The value that the call returned.
            mirror_axis: The axis along which the inputs were reversed; the results are reversed back.

        Raises:
            WrongResult: The form, a shape or a dtype is not what the mode requires.
        """
        tensors = self._name_results(self._parts(returned))
        if mirror_axis is not None:
            for spec in self.specs:
                if mirror_axis in spec.axes:
                    tensors[spec.name] = tensors[spec.name].flip(spec.axes.index(mirror_axis))
        return tensors

    @property
    def specs(self) -> list[TensorSpec]:
        """The tensors that a call must return, in order."""
        operator = self.operator
        if self.case.mode != "fwd_bwd":
            return [operator.output, *operator.returned_state(self.case)]
        leaves = [spec for spec in operator.inputs if spec.differentiable]
        leaves += operator.state if self._state is not None else ()
        return [operator.output, *(replace(spec, name=f"d{spec.name}") for spec in leaves)]

    def _parts(self, returned: object) -> list[object]:
        """Return the results of a call as a flat list."""
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
        """Yield every tensor that a call reads; a state twice, the stored copy and the one passed."""
        operator, in_layout = self.operator, self._in_layout
        yield from zip(operator.inputs, in_layout.tensors.values(), strict=True)
        for state in (in_layout.state, self._state):
            if state is not None:
                yield from zip(operator.state, state, strict=True)
        if in_layout.upstream is not None:
            yield operator.output, in_layout.upstream

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that a call reads: inputs, its state and the upstream gradient."""
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

    def _name_results(self, parts: Sequence[object]) -> dict[str, Tensor]:
        specs, operator = self.specs, self.operator
        if len(specs) != len(parts):
            names = ", ".join(spec.name for spec in specs)
            raise WrongResult(f"returned {len(parts)} tensors, expected {len(specs)}: {names}")
        tensors = {}
        for spec, part in zip(specs, parts, strict=True):
            if not isinstance(part, Tensor):
                raise WrongResult(f"returned {_describe(part)} for {spec.name}, expected a tensor")
            tensor = self.implementation.canonical(part, spec) if part.dim() == len(spec.axes) else part
            is_output = spec is operator.output
            tokens = operator.output_tokens(self.case) if is_output else operator.call_tokens(self.case)
            shape = spec.shape(self.case, tokens)
            if tuple(tensor.shape) != shape:
                raise WrongResult(f"returned {spec.name} of shape {tuple(tensor.shape)}, expected {shape}")
            tensors[spec.name] = tensor.detach()
        output = tensors[operator.output.name]
        if str(output.dtype) != f"torch.{self.case.dtype}":
            raise WrongResult(f"returned {output.dtype}, expected torch.{self.case.dtype}")
        return tensors


def _describe(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _by_name(inputs: Inputs) -> dict[str, Tensor]:
    """Return the inputs that an implementation may not change; its state is a copy of its own."""
    upstream = {} if inputs.upstream is None else {"upstream gradient": inputs.upstream}
    return {**inputs.tensors, **upstream}


def _checksum(tensor: Tensor) -> Checksum:
    """Return two sums over the bits of a tensor: over all elements, and over every third."""
    integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
    bits = tensor.detach().view(integer).flatten()
    return int(bits.sum(dtype=torch.int64)), int(bits[::3].sum(dtype=torch.int64))
