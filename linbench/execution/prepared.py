"""PreparedCase: the inputs and the expected values of a case in a worker, and the verification of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from linbench.core.case import Case
from linbench.core.measurement import TensorError, Tolerance
from linbench.core.operator import Operator
from linbench.core.registry import Registry
from linbench.core.tensor import Expected, Inputs
from linbench.execution.messages import ExpectedValues
from linbench.measure.accuracy import by_position, complaint, errors, expected_of, sample_of, tensor_error
from linbench.measure.call import Call, InputsInLayout, WrongResult
from linbench.measure.hygiene import copy_result, same_bits
from linbench.measure.tolerance import UNLIMITED, tolerances


@dataclass(frozen=True)
class Verification:
    """Whether a result is correct.

    Attributes:
        errors: The error of each tensor; empty if the errors cannot be computed.
        reason: What is wrong, in one line; None if the result is correct.
    """

    errors: Mapping[str, TensorError]
    reason: str | None = None


class PreparedCase:
    """A case of one operator: its inputs, its expected values (all, or a sample of them) and tolerances."""

    def __init__(self, operator: Operator, case: Case, expected_values: ExpectedValues | None) -> None:
        """Make the inputs; compute the expected values unless those of another worker are passed."""
        self.operator = operator
        self.case = case
        self.in_layout = InputsInLayout(operator, case)
        self.expected: Mapping[str, Expected]
        self.tolerances: Mapping[str, Tolerance]
        if expected_values is None:
            self.expected = operator.expected(case, self.in_layout.canonical)
            self.tolerances = tolerances(operator, case)
        else:
            self.expected = {
                name: expected_of(sample, case.device) for name, sample in expected_values.sample.items()
            }
            self.tolerances = expected_values.tolerances

    def expected_values(self, registry: Registry) -> ExpectedValues:
        """Return a sample of the expected values, the tolerances and the approximation, for other workers."""
        return ExpectedValues(
            {name: sample_of(expected) for name, expected in self.expected.items()},
            self.tolerances,
            self._approximation(registry),
        )

    def verify(
        self,
        call: Call,
        returned: object,
        expected: Mapping[str, Expected] | None = None,
        mirror_axis: str | None = None,
    ) -> Verification:
        """Return whether a call left its inputs unchanged and its result is correct, with the errors."""
        changed = self.in_layout.changed(call.implementation)
        if changed is not None:
            self.in_layout.restore(call.implementation)
            return Verification({}, f"changes its input {changed}")
        try:
            results = call.results(returned, mirror_axis)
        except WrongResult as error:
            return Verification({}, str(error))
        tensor_errors = errors(results, expected or self.expected, self.tolerances, self.operator.result_axes)
        return Verification(tensor_errors, complaint(tensor_errors))

    def verify_by_position(self, call: Call, returned: object) -> Verification:
        """Return the same as `verify`, with the errors by position along T."""
        verification = self.verify(call, returned)
        tokens = self.operator.call_tokens(self.case)
        if not verification.errors or tokens == 1:
            return verification
        results = call.results(returned)
        tensor_errors = dict(verification.errors)
        for spec in call.specs:
            axis = spec.axes.find("T")
            if axis >= 0 and results[spec.name].shape[axis] == tokens:
                positions = by_position(results[spec.name], self.expected[spec.name], axis, tokens)
                tensor_errors[spec.name] = replace(tensor_errors[spec.name], by_position=positions)
        return replace(verification, errors=tensor_errors)

    def explain(self, call: Call, verification: Verification) -> Verification:
        """Return a verification whose reason also tells whether a wrong output depends on later tokens."""
        if verification.reason is None:
            return verification
        try:
            leak = self._future_leak(call, verification)
        except Exception:  # a wrong implementation may raise anything on other inputs
            leak = None
        return replace(verification, reason="; ".join(filter(None, (verification.reason, leak))))

    def _future_leak(self, call: Call, verification: Verification) -> str | None:
        """Return a sentence if the first wrong token of the output depends on later tokens, or None.

        The call is repeated with other inputs from the next token on. The reference tells whether the
        operator itself looks ahead.
        """
        output = self.operator.output
        error = verification.errors.get(output.name)
        deviation = error.deviation if error is not None else None
        token = deviation.first.get("t") if deviation is not None else None
        if token is None or self.case.mode == "decode" or token + 1 >= self.operator.call_tokens(self.case):
            return None
        changed = InputsInLayout(self.operator, self.case)
        later_inputs = changed.generate(self.case.seed + 1)
        for spec in self.operator.inputs:
            if "T" in spec.axes:
                axis, tensor = spec.axes.index("T"), changed.canonical.tensors[spec.name]
                count = tensor.shape[axis] - token - 1
                tensor.narrow(axis, token + 1, count).copy_(
                    later_inputs.tensors[spec.name].narrow(axis, token + 1, count)
                )
        axis = output.axes.index("T")
        expected = self.operator.expected(self.case, changed.canonical)[output.name]
        before = self.expected[output.name]
        if expected.index != (...,) or before.index != (...,) or before.step:
            return None
        if not torch.allclose(before.value.select(axis, token), expected.value.select(axis, token)):
            return None
        original = self._output_at(call, axis, token)
        repeated = self._output_at(call.on(changed), axis, token)
        gap, size = float((original - repeated).norm()), float(before.value.select(axis, token).norm())
        if not gap > (error.tolerance if error else 0.0) * size / 2:
            return None
        return f"{output.name} at token {token} depends on later tokens"

    def _output_at(self, call: Call, axis: int, token: int) -> Tensor:
        call.prepare()
        result = call.results(call())[self.operator.output.name].select(axis, token).double()
        synchronize(self.case.device)
        return result.nan_to_num(0.0, 0.0, 0.0)

    def is_identical(self, call: Call, first: object, second: object) -> bool:
        """Return whether two results of a call have the same bits wherever there are expected values.

        A cache has unwritten room, whose content is no result.
        """
        a, b = call.results(first), call.results(second)
        return all(
            same_bits(expected.of(a[name]), expected.of(b[name])) for name, expected in self.expected.items()
        )

    def verify_other_inputs(self, call: Call) -> Verification:
        """Call with other inputs at the same addresses, to detect results that are cached by address."""
        axis = call.mirror_axis
        call.prepare()
        if axis is not None:
            with call.mirrored_inputs(axis):
                result = copy_result(call())
                synchronize(self.case.device)
            return self.verify(call, result, mirror_axis=axis)
        with call.reseeded_inputs() as (case, inputs):
            call.prepare()
            result = copy_result(call())
            synchronize(case.device)
            expected = self.operator.expected(case, inputs)
        return self.verify(call, result, expected)

    def poison(self) -> None:
        """Fill memory with NaN and free it, to detect an output that is never written."""
        for spec in (self.operator.output, *self.operator.inputs):
            shape = spec.shape(self.case, self.operator.call_tokens(self.case))
            dtype = getattr(torch, self.case.dtype)
            torch.full(shape, float("nan"), dtype=dtype, device=self.case.device)

    def _approximation(self, registry: Registry) -> dict[str, float]:
        """Return the distance of this operator's expected output from that of the operator it approximates.

        Both references receive the same inputs. Decode is left out, because the two states differ.
        """
        if not self.operator.approximates or self.case.mode == "decode":
            return {}
        target = registry.operator(self.operator.approximates)
        names = {spec.name for spec in target.inputs}
        case = target.complete(replace(self.case, mode="fwd"))
        tensors = {name: value for name, value in self.in_layout.canonical.tensors.items() if name in names}
        exact = target.expected(case, Inputs(tensors))[target.output.name]
        approximate = exact.of(self.expected[self.operator.output.name].value)
        error = tensor_error(approximate, exact, UNLIMITED, target.output.axes, case.T)
        return {target.output.name: error.rel_l2}


def synchronize(device: str) -> None:
    """Wait for all work that was started on a device."""
    if device == "cuda":
        torch.cuda.synchronize()
