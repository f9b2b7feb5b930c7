"""Operator: the mathematics of one attention mechanism, apart from any way of computing it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from linbench.core.case import Case, Scalar
from linbench.core.errors import UsageError, unknown
from linbench.core.tensor import Expected, Inputs, TensorSpec, join_heads, normal, take_heads

if TYPE_CHECKING:
    from torch import Generator, Tensor

Form = Callable[..., Any]
"""`Operator.reference` or `Operator.plain`."""

REFERENCE_SLICE_BYTES = 2**28
LARGE = 4.0


@dataclass(frozen=True)
class Option:
    """An option of an operator.

    Attributes:
        default: The value where a case does not set it.
        allowed: Every allowed value.
        meaning: One-line description.
        of_inputs: Whether it changes only the inputs and not the computation, so that no implementation has
            to accept it.
    """

    default: Scalar
    allowed: tuple[Scalar, ...]
    meaning: str
    of_inputs: bool = False


MAGNITUDE = Option(
    "unit", ("unit", "large"), f"size of the inputs: unit normal, or {LARGE:g} times that", True
)


@dataclass(frozen=True)
class Cost:
    """The least work of any exact form at a case.

    Attributes:
        flops: Useful floating-point operations of the cheapest exact form; docs/reference/profiles.md says
            which count.
        bytes: Bytes of every input, read once, and of every output, written once, as far as they are filled.
    """

    flops: float
    bytes: float


class Operator(ABC):
    """The mathematics of one mechanism: inputs, float64 reference, cost and tolerance.

    A subclass defines at least `name`, `inputs`, `reference` and `cost`, and is registered with
    `linbench.operator`. Heads are independent of each other; a parameter that differs by head is an input
    with an H axis.

    Attributes:
        name: Name, as in linear; the names of implementations start with it.
        title: One-line description.
        source: Publication of the definition.
        kind: "exact recurrence", "exact softmax", "approximation" or "different function".
        complexity: Time complexity in T of the cheapest exact form, as in O(T).
        inputs: Input tensors of a call, in order.
        output: Output tensor of a call.
        state: State tensors that are carried from token to token; empty where there are none.
        options: Options that a case may set; every operator has `magnitude` in addition to its own.
        tolerance: By dtype, the largest relative L2 error of a correct result where the plain form overflows
            and cannot serve as a measure; see `linbench.measure.tolerance`.
        approximates: The operator whose output this one approximates from the same inputs, or empty.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    kind: ClassVar[str] = "exact recurrence"
    complexity: ClassVar[str] = "O(T)"
    inputs: ClassVar[tuple[TensorSpec, ...]]
    output: ClassVar[TensorSpec] = TensorSpec("o", "BTHV")
    state: ClassVar[tuple[TensorSpec, ...]] = ()
    options: ClassVar[Mapping[str, Option]] = {}
    tolerance: ClassVar[Mapping[str, float]] = {
        "float64": 1e-12,
        "float32": 2e-5,
        "float16": 5e-3,
        "bfloat16": 3e-2,
    }
    approximates: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Add the options that every operator has."""
        cls.options = {**cls.options, "magnitude": MAGNITUDE}

    @abstractmethod
    def reference(
        self, tensors: Mapping[str, Tensor], state: tuple[Tensor, ...] | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the exact output and final state, computed by differentiable torch operations.

        It is called with float64 tensors in the canonical layout and with a value for every option; memory
        must stay O(T) where the mechanism allows it.
        """

    def plain(
        self, tensors: Mapping[str, Tensor], state: tuple[Tensor, ...] | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return output and final state by the plainest form, computed in the dtype of the inputs.

        The tolerance of implementations derives from its error. It is called at short T and may be quadratic.
        The default is the reference in float32, its output rounded to the dtype.
        """
        import torch

        dtype = next(iter(tensors.values())).dtype
        exact = torch.promote_types(dtype, torch.float32)
        wide = {name: tensor.to(exact) for name, tensor in tensors.items()}
        before = None if state is None else tuple(part.to(exact) for part in state)
        output, final = self.reference(wide, before, options)
        return output.to(dtype), final

    @abstractmethod
    def cost(self, case: Case) -> Cost:
        """Return the least operations and memory traffic at a case."""

    def complete(self, case: Case) -> Case:
        """Return the case without defaults and without options of other operators.

        Raises:
            UsageError: An option of this operator has a value that is not allowed.
        """
        options = {}
        for name, value in case.options.items():
            option = self.options.get(name)
            if option is None:
                continue
            if value not in option.allowed or type(value) is not type(option.default):
                allowed = ", ".join(str(choice) for choice in option.allowed)
                raise UsageError(f"{self.name} takes {name} = {allowed}, not {value!r}")
            if value != option.default:
                options[name] = value
        return case.with_options(options)

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why the mechanism itself is not defined at a case, in one line, or None."""
        del case
        return None

    def option_values(self, case: Case) -> dict[str, Scalar]:
        """Return every option of this operator with its value at a case."""
        return {name: case.options.get(name, option.default) for name, option in self.options.items()}

    def call_tokens(self, case: Case) -> int:
        """Return the number of tokens per sequence in the inputs of a call."""
        return 1 if case.mode == "decode" else case.T

    def output_tokens(self, case: Case) -> int:
        """Return the number of tokens per sequence in the output of a call."""
        return self.call_tokens(case)

    def returned_state(self, case: Case) -> tuple[TensorSpec, ...]:
        """Return the state tensors that a call at this case returns with its output."""
        return self.state if case.mode in ("prefill", "decode") else ()

    def takes_state(self, case: Case) -> bool:
        """Return whether a call at this case receives a state."""
        return case.mode == "decode" or bool(case.options.get("initial_state", False))

    def generate(self, case: Case, generator: Generator) -> Inputs:
        """Return seeded random inputs of a case on the generator's device.

        The same case gives the same values on the same kind of device.
        """
        import torch

        tokens = self.call_tokens(case)
        options = self.option_values(case)
        tensors = {}
        for spec in self.inputs:
            sample = self.draw(spec, spec.shape(case, tokens), generator, options)
            tensors[spec.name] = sample.to(getattr(torch, spec.dtype(case)))
        state = self.draw_state(case, generator) if self.takes_state(case) else None
        upstream = None
        if case.mode == "fwd_bwd":
            sample = normal(self.output.shape(case, self.output_tokens(case)), generator)
            upstream = sample.to(getattr(torch, self.output.dtype(case)))
        return Inputs(tensors, state, upstream)

    def draw(
        self, spec: TensorSpec, shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]
    ) -> Tensor:
        """Return a random input in float32; the default is normal with the magnitude of the options."""
        del spec
        return normal(shape, generator) * magnitude(options)

    def draw_state(self, case: Case, generator: Generator) -> tuple[Tensor, ...]:
        """Return a random state in float32, like that after `case.T` tokens."""
        size = magnitude(self.option_values(case))
        return tuple(normal(spec.shape(case, 1), generator) * size for spec in self.state)

    def restore(self, live: Sequence[Tensor], original: Sequence[Tensor]) -> None:
        """Restore a state that a decode call may have updated; both are in the canonical layout."""
        for tensor, value in zip(live, original, strict=True):
            tensor.copy_(value)

    def mirror_axes(self, case: Case) -> str:
        """Return the axes along which reversed inputs give reversed results: H, B."""
        del case
        return "HB"

    def expected(self, case: Case, inputs: Inputs) -> dict[str, Expected]:
        """Return the expected value of everything that a call at this case returns, from the reference.

        The output, then the final state (prefill, decode) or the gradient of each differentiable input
        (fwd_bwd; dq is the gradient of q). Heads are computed in slices, so that float64 copies stay small.
        """
        parts: dict[str, list[Tensor]] = {}
        specs = (*self.inputs, *(self.state if inputs.state is not None else ()))
        for heads in self._head_slices(case):
            part = _heads_of(inputs, specs, self.output, heads)
            for name, value in self._results(self.reference, case, part).items():
                parts.setdefault(name, []).append(value)
        axes = self.result_axes
        return {name: Expected(join_heads(values, axes[name])) for name, values in parts.items()}

    @property
    def result_axes(self) -> dict[str, str]:
        """The axes of everything that a call may return, by name: o, S, dq, ..."""
        axes = {spec.name: spec.axes for spec in (self.output, *self.state)}
        return axes | {f"d{spec.name}": spec.axes for spec in (*self.inputs, *self.state)}

    def plain_results(self, case: Case, inputs: Inputs) -> dict[str, Tensor]:
        """Return the results of a call at this case by the plain form in the case's dtype."""
        return self._results(self.plain, case, inputs)

    def _results(self, form: Form, case: Case, inputs: Inputs) -> dict[str, Tensor]:
        """Return the results of a form by name: the output, and gradients or the final state."""
        import torch

        differentiate = case.mode == "fwd_bwd"
        tensors = {
            spec.name: inputs.tensors[spec.name]
            .detach()
            .requires_grad_(differentiate and spec.differentiable)
            for spec in self.inputs
        }
        state = None
        if inputs.state is not None:
            state = tuple(part.detach().requires_grad_(differentiate) for part in inputs.state)
        output, final = form(tensors, state, self.option_values(case))
        results = {self.output.name: output}
        if differentiate:
            if inputs.upstream is None:
                raise ValueError("fwd_bwd needs an upstream gradient")
            leaves = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
            leaves |= {spec.name: part for spec, part in zip(self.state, state or (), strict=False)}
            gradients = torch.autograd.grad(
                output, tuple(leaves.values()), inputs.upstream, allow_unused=True, materialize_grads=True
            )
            results |= {f"d{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
        elif self.returned_state(case):
            results |= {spec.name: part for spec, part in zip(self.state, final, strict=True)}
        return {name: value.detach() for name, value in results.items()}

    def _head_slices(self, case: Case) -> Iterator[slice]:
        width = max(1, min(case.H, REFERENCE_SLICE_BYTES // self.reference_head_bytes(case)))
        for first in range(0, case.H, width):
            yield slice(first, min(first + width, case.H))

    def reference_head_bytes(self, case: Case) -> int:
        """Return the bytes of the largest float64 tensor that the reference allocates for one head."""
        return 8 * case.B * case.T * max(case.K, case.V)

    def input_bytes(self, case: Case) -> int:
        """Return the bytes of all inputs of a call at this case, including state and upstream gradient."""
        tokens = self.call_tokens(case)
        size = sum(spec.bytes(case, tokens) for spec in self.inputs)
        if case.mode == "fwd_bwd":
            size += self.output.bytes(case, self.output_tokens(case))
        return size + (self.state_bytes(case) if self.takes_state(case) else 0)

    def output_bytes(self, case: Case) -> int:
        """Return the bytes of everything that a call at this case returns."""
        size = self.output.bytes(case, self.output_tokens(case))
        if case.mode == "fwd_bwd":
            tokens = self.call_tokens(case)
            size += sum(spec.bytes(case, tokens) for spec in self.inputs if spec.differentiable)
            size += self.state_bytes(case) if self.takes_state(case) else 0
        return size + (self.state_bytes(case) if self.returned_state(case) else 0)

    def state_bytes(self, case: Case) -> int:
        """Return the bytes of the state; the default is for float32."""
        return 4 * sum(math.prod(spec.shape(case, 1)) for spec in self.state)


def check_options(operators: Sequence[Operator], names: Sequence[str]) -> None:
    """Raise UsageError for an option that none of the operators has."""
    allowed = {name for operator in operators for name in operator.options}
    for name in names:
        if name not in allowed:
            raise unknown("option", name, allowed)


def magnitude(options: Mapping[str, Scalar]) -> float:
    """Return the factor of unit normal inputs."""
    return LARGE if options["magnitude"] == "large" else 1.0


def _heads_of(inputs: Inputs, specs: Sequence[TensorSpec], output: TensorSpec, heads: slice) -> Inputs:
    """Return the part of the inputs that belongs to some heads, in float64."""
    tensors = (*inputs.tensors.values(), *(inputs.state or ()))
    pairs = zip(specs, tensors, strict=True)
    parts = [take_heads(tensor, spec.axes, heads).double() for spec, tensor in pairs]
    count = len(inputs.tensors)
    upstream = inputs.upstream
    return Inputs(
        dict(zip(inputs.tensors, parts[:count], strict=True)),
        tuple(parts[count:]) if inputs.state is not None else None,
        None if upstream is None else take_heads(upstream, output.axes, heads).double(),
    )
