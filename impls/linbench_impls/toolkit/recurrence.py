"""Base class of operators that carry a state from token to token: reference and costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from linbench import Case, Cost, Operator, Option, TensorSpec
from linbench.core.case import Scalar

if TYPE_CHECKING:
    from torch import Generator, Tensor

State = tuple["Tensor", ...]

QKV: tuple[TensorSpec, ...] = (TensorSpec("q", "BTHK"), TensorSpec("k", "BTHK"), TensorSpec("v", "BTHV"))
INITIAL_STATE = Option(
    False, (True, False), "start fwd, fwd_bwd and prefill from an initial state", of_inputs=True
)
GATES = Option(
    "typical", ("typical", "near_one", "near_zero"), "share of the state that a step keeps", of_inputs=True
)


class Recurrence(Operator):
    """An operator with a state that is updated token by token.

    A subclass defines `step`, the definition, and `chunked`, with which the reference computes long
    sequences; a test compares the two in float64.
    """

    state: ClassVar[tuple[TensorSpec, ...]] = (TensorSpec("S", "BHKV"),)
    options: ClassVar[Mapping[str, Option]] = {"initial_state": INITIAL_STATE}

    @abstractmethod
    def chunked(self, *tensors: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return output and final state; tensors with tokens and heads are [B, H, T, D]."""

    @abstractmethod
    def step(self, state: State, token: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Return the output of one token, [B, H, V], and the state after it; inputs have no T axis."""

    @abstractmethod
    def least_flops(self, case: Case) -> float:
        """Return the operations of the cheapest exact form, as `linbench_impls.toolkit.flops` counts them."""

    def reference(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state chunk by chunk, the state carried from one to the next."""
        del options
        in_layout = [with_heads_first(tensors[spec.name], spec) for spec in self.inputs]
        o, final = self.chunked(*in_layout, state=state)
        return o.transpose(1, 2), final

    def recurrence(
        self, tensors: Mapping[str, Tensor], state: State | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, State]:
        """Return output and final state token by token, by the definition."""
        import torch

        del options
        state = self.start(tensors) if state is None else state
        outputs = []
        for t in range(tensors[self.inputs[0].name].shape[1]):
            token = {
                spec.name: tensors[spec.name][:, t] if "T" in spec.axes else tensors[spec.name]
                for spec in self.inputs
            }
            o, state = self.step(state, token)
            outputs.append(o)
        return torch.stack(outputs, 1), state

    def start(self, tensors: Mapping[str, Tensor]) -> State:
        """Return the state before the first token: zero."""
        k, v = tensors["k"], tensors["v"]
        return (v.new_zeros(k.shape[0], *k.shape[2:], v.shape[-1]),)

    def cost(self, case: Case) -> Cost:
        """Return the least operations, without those of gates, and the bytes of every input and output."""
        return Cost(float(self.least_flops(case)), self.input_bytes(case) + self.output_bytes(case))

    def scaled_state(self, case: Case, generator: Generator, variance: Tensor) -> State:
        """Return a normal S of a variance [H] or [H, K], which is limited to that of a sum of T tokens."""
        from linbench.core.operator import magnitude

        (S,) = super().draw_state(case, generator)
        spread = variance.float().clamp(max=case.T).sqrt().reshape(case.H, -1, 1)
        return (S * magnitude(self.option_values(case)) * spread,)


def with_heads_first(x: Tensor, spec: TensorSpec) -> Tensor:
    """Return a canonical tensor with its heads before its tokens, if it has both axes."""
    return x.transpose(1, 2) if spec.axes.startswith("BTH") else x


def keys_of_unit_length(x: Tensor) -> Tensor:
    """Return keys of length 1, for the delta rule."""
    import torch.nn.functional as F

    return F.normalize(x, dim=-1)


def gate_shift(options: Mapping[str, Scalar], shifts: Sequence[float]) -> float:
    """Return the shift for the `gates` option; `shifts` are those for typical, near_one and near_zero."""
    return dict(zip(GATES.allowed, shifts, strict=True))[options["gates"]]


def softplus_gates(shape: tuple[int, ...], generator: Generator, options: Mapping[str, Scalar]) -> Tensor:
    """Return log-decays -softplus(x + a), x normal; a = -3 (a step keeps 95%), -8 (99.97%) or 4 (1.8%)."""
    import torch.nn.functional as F

    from linbench.core.tensor import normal

    return -F.softplus(normal(shape, generator) + gate_shift(options, (-3.0, -8.0, 4.0)))
