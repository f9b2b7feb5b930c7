"""PreparedCase: the inputs and the expected values of a case in a worker, and the check against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from linbench.core.case import Case
from linbench.core.measurement import TensorError
from linbench.core.operator import Operator
from linbench.core.registry import Registry
from linbench.core.tensor import Expected, Inputs
from linbench.execution.messages import ExpectedValues
from linbench.measure.accuracy import by_position, complaint, errors, expected_of, sample_of, tensor_error
from linbench.measure.call import Call, InputsInLayout, WrongResult
from linbench.measure.hygiene import copy_result, same_bits
from linbench.measure.tolerance import tolerances


@dataclass(frozen=True)
class Judgement:
    """Whether a result is right.

    Attributes:
        errors: How far each tensor is off; empty where that cannot be told.
        complaint: What is wrong, in one line; None if it is right.
    """

    errors: Mapping[str, TensorError]
    complaint: str | None = None


class PreparedCase:
    """A case of one operator: its inputs, its expected values, whole or a sample of them, and tolerances."""

    def __init__(self, operator: Operator, case: Case, expected_values: ExpectedValues | None) -> None:
        """Make the inputs; compute the expected values unless another worker's are given."""
        self.operator = operator
        self.case = case
        self.in_layout = InputsInLayout(operator, case)
        self.expected: Mapping[str, Expected]
        self.tolerances: Mapping[str, float]
        if expected_values is None:
            self.expected = operator.expected(case, self.in_layout.canonical)
            self.tolerances = tolerances(operator, case)
        else:
            self.expected = {
                name: expected_of(sample, case.device) for name, sample in expected_values.sample.items()
            }
            self.tolerances = expected_values.tolerances

    def expected_values(self, registry: Registry) -> ExpectedValues:
        """Return a sample of the expected values for other workers, the tolerances and the approximation."""
        return ExpectedValues(
            {name: sample_of(due) for name, due in self.expected.items()},
            self.tolerances,
            self._approximation(registry),
        )

    def judge(
        self,
        call: Call,
        returned: object,
        expected: Mapping[str, Expected] | None = None,
        mirror_axis: str | None = None,
    ) -> Judgement:
        """Return whether a call left its inputs alone and returned what is right, and how far it is off."""
        changed = self.in_layout.changed(call.implementation)
        if changed is not None:
            self.in_layout.restore(call.implementation)
            return Judgement({}, f"changes its input {changed}")
        try:
            results = call.results(returned, mirror_axis)
        except WrongResult as error:
            return Judgement({}, str(error))
        found = errors(results, expected or self.expected, self.tolerances)
        return Judgement(found, complaint(found))

    def judge_whole(self, call: Call, returned: object) -> Judgement:
        """Return the same, with the error by position along T."""
        judgement = self.judge(call, returned)
        tokens = self.operator.call_tokens(self.case)
        if not judgement.errors or tokens == 1:
            return judgement
        results = call.results(returned)
        along = dict(judgement.errors)
        for spec in call.specs:
            axis = spec.axes.find("T")
            if axis >= 0 and results[spec.name].shape[axis] == tokens:
                places = by_position(results[spec.name], self.expected[spec.name], axis, tokens)
                along[spec.name] = replace(along[spec.name], by_position=places)
        return replace(judgement, errors=along)

    def same(self, call: Call, one: object, other: object) -> bool:
        """Return whether two results have the same bits wherever the reference says what is due.

        A cache has room that nobody writes: what stands there is no result.
        """
        first, second = call.results(one), call.results(other)
        return all(
            same_bits(due.of(first[name]), due.of(second[name])) for name, due in self.expected.items()
        )

    def judge_elsewhere(self, call: Call) -> Judgement:
        """Call with other inputs at the same addresses, so that a result remembered by address is caught."""
        axis = call.mirror_axis
        call.prepare()
        if axis is not None:
            with call.mirrored_inputs(axis):
                kept = copy_result(call())
                synchronize(self.case.device)
            return self.judge(call, kept, mirror_axis=axis)
        with call.reseeded_inputs() as (case, inputs):
            call.prepare()
            kept = copy_result(call())
            synchronize(case.device)
            expected = self.operator.expected(case, inputs)
        return self.judge(call, kept, expected)

    def poison(self) -> None:
        """Leave NaN in memory that is about to be free, so that an output never written is caught."""
        for spec in (self.operator.output, *self.operator.inputs):
            shape = spec.shape(self.case, self.operator.call_tokens(self.case))
            dtype = getattr(torch, self.case.dtype)
            torch.full(shape, float("nan"), dtype=dtype, device=self.case.device)

    def _approximation(self, registry: Registry) -> dict[str, float]:
        """Return how far this operator's exact output is from that of the operator which it approximates.

        Both references are given the same inputs. Decode is left out: the two states are not the same.
        """
        if not self.operator.approximates or self.case.mode == "decode":
            return {}
        other = registry.operator(self.operator.approximates)
        names = {spec.name for spec in other.inputs}
        case = other.complete(replace(self.case, mode="fwd"))
        tensors = {name: value for name, value in self.in_layout.canonical.tensors.items() if name in names}
        exact = other.expected(case, Inputs(tensors))[other.output.name]
        own = exact.of(self.expected[self.operator.output.name].value)
        return {other.output.name: tensor_error(own, exact.value, 0.0).rel_l2}


def synchronize(device: str) -> None:
    """Wait for everything that was started on a device."""
    if device == "cuda":
        torch.cuda.synchronize()
