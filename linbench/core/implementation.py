"""Implementation: one way to compute an operator, and the cases that it supports."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from linbench.core.case import Case
from linbench.core.compiled import Compiled
from linbench.core.errors import UsageError, unknown
from linbench.core.measurement import Cause, Kernel, Reason
from linbench.core.operator import Operator
from linbench.core.tensor import TensorSpec
from linbench.core.work import Work

if TYPE_CHECKING:
    from torch import Tensor

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
Launches = Callable[[], AbstractContextManager[Sequence[Kernel]]]
CompiledFor = Callable[[Case, str], Sequence[Compiled]]
Restriction = Callable[[Case], str | None]
CANONICAL = "BTHD"
LAYOUTS = ("BTHD", "BHTD", "TBHD", "HBTD")


@dataclass
class Implementation:
    """One way to compute an operator.

    Attributes:
        name: Full name, operator first: linear/chunk.
        operator: The operator that it computes.
        layout: Order of the axes of every tensor that has tokens and heads; D is the last, K or V.
        functions: The function of each mode; fwd_bwd is fwd differentiated by autograd.
        differentiable: Whether autograd reaches the inputs through fwd.
        restriction: Function that returns why a case is not supported, or None.
        flops: Operations of a call of this algorithm at a case, including those of backward in fwd_bwd; the
            operator's least cost if None. Products count, two operations per multiply-add, and so does the
            masked half of a matrix product where it is computed: docs/reference/profiles.md.
        extra_bytes: Bytes that it needs at a case besides inputs and outputs; 0 if None.
        launches: Function that returns a context manager, which yields a list and fills it on exit with the
            kernels that this implementation launched inside it. Triton kernels need none; see
            `linbench.core.measurement.Kernel`.
        compiled: Function that compiles the kernels of a call at a case for an architecture, as in "sm_90",
            without a device; raises `NotImplementedError` with a one-line message where it cannot.
        summary: First line of the function's docstring.
        origin: File that defines it.
        find_operator: Function that returns the operator of a name, for direct calls of the implementation;
            set by its registry.
    """

    name: str
    operator: str
    layout: str
    functions: dict[str, Function]
    differentiable: bool = True
    restriction: Restriction | None = None
    flops: Callable[[Case], float] | None = None
    extra_bytes: Callable[[Case], float] | None = None
    launches: Launches | None = None
    compiled: CompiledFor | None = None
    summary: str = ""
    origin: str = ""
    find_operator: Callable[[str], Operator] | None = field(default=None, repr=False)
    _parameters: dict[str, Mapping[str, inspect.Parameter]] = field(default_factory=dict, repr=False)

    def mode(self, name: str) -> Callable[[F], F]:
        """Return a decorator that registers the function of another mode, prefill or decode.

        Both return the output and the state: a tuple in the order of the operator's `state`. decode is
        called with `state=` and may update it in place.
        """
        if name not in ("prefill", "decode"):
            raise ValueError(
                f"mode {name!r} of {self.name}: only prefill and decode have functions of their own"
            )

        def register(function: F) -> F:
            self.functions[name] = function
            return function

        return register

    @property
    def modes(self) -> tuple[str, ...]:
        """The supported modes, in the order of `linbench.core.case.MODES`."""
        has_fwd = "fwd" in self.functions
        is_supported = {
            "fwd": has_fwd,
            "fwd_bwd": has_fwd and self.differentiable,
            "prefill": "prefill" in self.functions,
            "decode": "decode" in self.functions,
        }
        return tuple(mode for mode, supported in is_supported.items() if supported)

    def function(self, mode: str) -> Function:
        """Return the function that computes a mode."""
        return self.functions["fwd" if mode == "fwd_bwd" else mode]

    def accepts(self, mode: str, parameter: str) -> bool:
        """Return whether the function of a mode accepts a keyword argument of this name."""
        if mode not in self._parameters:
            self._parameters[mode] = inspect.signature(self.function(mode)).parameters
        parameters = self._parameters[mode]
        return parameter in parameters or any(
            value.kind is inspect.Parameter.VAR_KEYWORD for value in parameters.values()
        )

    def algorithmic_flops(self, operator: Operator, case: Case) -> float:
        """Return the number of operations of a call at a case, useful or not."""
        return self.flops(case) if self.flops else operator.cost(case).flops

    def work(self, operator: Operator, case: Case) -> Work:
        """Return the work that a call at a case requires, and this algorithm's own if it declares it."""
        least = operator.cost(case)
        declared = float(self.flops(case)) if self.flops else None
        return Work(float(least.flops), declared, round(least.bytes))

    def missing_capability(self, operator: Operator, case: Case) -> str | None:
        """Return which mode, option or state of a case it does not support, in one line, or None."""
        if case.mode not in self.modes:
            return f"has no {case.mode} mode; it has {', '.join(self.modes)}"
        for name, value in case.options.items():
            if not operator.options[name].of_inputs and not self.accepts(case.mode, name):
                return f"has no option {name}, so it does not support {name}={value}"
        if operator.takes_state(case) and not self.accepts(case.mode, "state"):
            return f"does not accept a state in {case.mode}"
        return None

    def unsupported_reason(self, operator: Operator, case: Case) -> str | None:
        """Return why it does not support a case, in one line, or None if it does."""
        reason = operator.unsupported_reason(case) or self.missing_capability(operator, case)
        if reason is None and self.restriction is not None:
            reason = self.restriction(case)
        return reason

    def lay_out(self, tensor: Tensor, spec: TensorSpec) -> Tensor:
        """Return a contiguous copy or view of a canonical tensor in this implementation's layout."""
        order = self._order(spec)
        return (tensor.permute(order) if order else tensor).contiguous()

    def canonical(self, tensor: Tensor, spec: TensorSpec) -> Tensor:
        """Return a view, in the canonical layout, of a tensor in this implementation's layout."""
        order = self._order(spec)
        if order is None:
            return tensor
        return tensor.permute([order.index(axis) for axis in range(len(order))])

    def _order(self, spec: TensorSpec) -> list[int] | None:
        axes = spec.axes.replace("L", "T")
        if self.layout == CANONICAL or "T" not in axes or "H" not in axes:
            return None
        outer = [axis for axis in self.layout if axis in axes]
        inner = [axis for axis in axes if axis not in self.layout]
        return [axes.index(axis) for axis in (*outer, *inner)]

    def __call__(self, *tensors: Tensor, mode: str = "fwd", **keywords: Any) -> Any:
        """Call the function of a mode on tensors in the canonical layout and return its results likewise.

        Args:
            tensors: The operator's inputs in order, [B, T, H, D].
            mode: fwd, prefill or decode; fwd is differentiable where the implementation is.
            keywords: Options, and `state`.

        Raises:
            UsageError: The mode is not known, or an input has an empty axis.
        """
        if mode not in self.functions:
            raise unknown(f"mode of {self.name}:", mode, self.functions)
        if self.find_operator is None:
            raise ValueError(f"{self.name} is not registered; define it with @linbench.implementation")
        operator = self.find_operator(self.operator)
        for tensor, spec in zip(tensors, operator.inputs, strict=True):
            if 0 in tensor.shape:
                raise UsageError(
                    f"{self.name}: {spec.name} is {list(tensor.shape)}; every axis must be 1 or more"
                )
        in_layout = [
            self.lay_out(tensor, spec) for tensor, spec in zip(tensors, operator.inputs, strict=True)
        ]
        if keywords.get("state") is not None:
            specs = zip(keywords["state"], operator.state, strict=True)
            keywords["state"] = tuple(self.lay_out(tensor, spec) for tensor, spec in specs)
        result = self.function(mode)(*in_layout, **keywords)
        if mode == "fwd":
            return self.canonical(result, operator.output)
        output, state = result
        final = tuple(self.canonical(part, spec) for part, spec in zip(state, operator.state, strict=True))
        return self.canonical(output, operator.output), final


def needs(
    *,
    device: str | None = None,
    dtypes: Sequence[str] = (),
    modules: Sequence[str] = (),
    multiple_of: Mapping[str, int] | None = None,
    at_least: Mapping[str, int] | None = None,
    at_most: Mapping[str, int] | None = None,
    capability: tuple[int, int] | None = None,
) -> Restriction:
    """Return an `unsupported_reason` for common requirements; a case must meet all of them.

    Args:
        device: cpu or cuda.
        dtypes: Supported element types.
        modules: Python modules that must be installed.
        multiple_of: Divisor of the size, per axis: {"K": 16}.
        at_least: Smallest size, per axis: {"K": 16}.
        at_most: Largest size, per axis: {"K": 256}.
        capability: Lowest CUDA compute capability: (8, 0).
    """

    def unsupported_reason(case: Case) -> str | None:
        if device is not None and case.device != device:
            kind = "CUDA device" if device == "cuda" else "CPU"
            return Reason(f"needs a {kind}; this case is on the {case.device}", Cause.NO_DEVICE)
        for module in modules:
            if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
                return Reason(
                    f"needs the Python module {module}, which is not installed", Cause.MISSING_MODULE
                )
        if dtypes and case.dtype not in dtypes:
            return f"supports {', '.join(dtypes)}, not {case.dtype}"
        for axis, step in (multiple_of or {}).items():
            if getattr(case, axis) % step:
                return f"supports {axis} in multiples of {step}, not {getattr(case, axis)}"
        for axis, least in (at_least or {}).items():
            if getattr(case, axis) < least:
                return f"supports {axis} from {least}, not {getattr(case, axis)}"
        for axis, most in (at_most or {}).items():
            if getattr(case, axis) > most:
                return f"supports {axis} up to {most}, not {getattr(case, axis)}"
        if capability is not None and case.device == "cuda":
            import torch

            actual = torch.cuda.get_device_capability()
            if actual < capability:
                minimum, version = (".".join(map(str, pair)) for pair in (capability, actual))
                return f"needs compute capability {minimum}; this device has {version}"
        return None

    return unsupported_reason
