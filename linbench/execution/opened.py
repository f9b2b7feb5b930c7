"""Opened: a case of one operator in a worker: its inputs, what the oracle expects, and who is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from linbench.core.case import Case
from linbench.core.measurement import Status
from linbench.core.operator import Operator
from linbench.core.registry import Registry
from linbench.core.tensor import Expected, Inputs
from linbench.measure.accuracy import by_position, complaint, errors, packed, tensor_error, unpacked
from linbench.measure.budget import budgets
from linbench.measure.call import Call, LaidInputs, WrongResult
from linbench.measure.hygiene import copied, same_bits

Answer = dict[str, Any]


class Opened:
    """A case of one operator: its inputs, what the oracle expects, whole or a sample of it, and budgets."""

    def __init__(self, operator: Operator, case: Case, oracle: Mapping[str, Any] | None) -> None:
        """Make the inputs, and ask the oracle unless what it said in another worker is given."""
        self.operator = operator
        self.case = case
        self.laid = LaidInputs(operator, case)
        self.expected: dict[str, Expected]
        self.budgets: dict[str, float]
        if oracle is None:
            self.expected = operator.expected(case, self.laid.canonical)
            self.budgets = budgets(operator, case)
        else:
            sample = oracle["sample"].items()
            self.expected = {name: unpacked(part, case.device) for name, part in sample}
            self.budgets = oracle["budgets"]

    def oracle(self, registry: Registry) -> Answer:
        """Return what a worker needs to know that does not ask the oracle itself, and the approximation."""
        return {
            "sample": {name: packed(due) for name, due in self.expected.items()},
            "budgets": self.budgets,
            "approximation": self._approximation(registry),
        }

    def judge(
        self,
        call: Call,
        returned: Any,
        expected: Mapping[str, Expected] | None = None,
        mirror_axis: str | None = None,
    ) -> Answer:
        """Return whether a call left its inputs alone and returned what is right, and how far it is off."""
        changed = self.laid.changed(call.implementation)
        if changed is not None:
            self.laid.restore(call.implementation)
            return {"status": Status.WRONG, "reason": f"changes its input {changed}", "errors": {}}
        try:
            results = call.results(returned, mirror_axis)
        except WrongResult as error:
            return {"status": Status.WRONG, "reason": str(error), "errors": {}}
        found = errors(results, expected or self.expected, self.budgets)
        reason = complaint(found)
        return {
            "status": Status.WRONG if reason else Status.OK,
            "reason": reason,
            "errors": {name: error.to_json() for name, error in found.items()},
        }

    def judge_whole(self, call: Call, returned: Any) -> Answer:
        """Return the same, with the error by position along T."""
        answer = self.judge(call, returned)
        tokens = self.operator.call_tokens(self.case)
        if not answer["errors"] or tokens == 1:
            return answer
        results = call.results(returned)
        for spec in call.specs:
            axis = spec.axes.find("T")
            if axis >= 0 and results[spec.name].shape[axis] == tokens:
                places = by_position(results[spec.name], self.expected[spec.name], axis, tokens)
                answer["errors"][spec.name]["by_position"] = list(places)
        return answer

    def same(self, call: Call, one: Any, other: Any) -> bool:
        """Return whether two results have the same bits wherever the oracle says what is due.

        A cache has room that nobody writes: what stands there is no result.
        """
        first, second = call.results(one), call.results(other)
        return all(
            same_bits(due.of(first[name]), due.of(second[name])) for name, due in self.expected.items()
        )

    def judge_elsewhere(self, call: Call) -> Answer:
        """Call with other inputs at the same addresses, so that a result remembered by address is caught."""
        axis = call.mirror_axis
        call.prepare()
        if axis is not None:
            with call.mirrored(axis):
                kept = copied(call())
                synchronize(self.case.device)
            return self.judge(call, kept, mirror_axis=axis)
        with call.reseeded() as (case, inputs):
            call.prepare()
            kept = copied(call())
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

        Both oracles are given the same inputs. Decode is left out: the two states are not the same.
        """
        if not self.operator.approximates or self.case.mode == "decode":
            return {}
        other = registry.operator(self.operator.approximates)
        names = {spec.name for spec in other.inputs}
        case = other.complete(replace(self.case, mode="fwd"))
        tensors = {name: value for name, value in self.laid.canonical.tensors.items() if name in names}
        exact = other.expected(case, Inputs(tensors))[other.output.name]
        own = exact.of(self.expected[self.operator.output.name].value)
        return {other.output.name: tensor_error(own, exact.value, 0.0).rel_l2}


def synchronize(device: str) -> None:
    """Wait for everything that was started on a device."""
    if device == "cuda":
        torch.cuda.synchronize()


def blamed(answer: Answer, reason: str) -> Answer:
    """Return an answer with a further reason; one that was ok is wrong for it, and has no times."""
    if answer["status"] == Status.OK:
        return {"status": Status.WRONG, "reason": reason, "errors": answer.get("errors", {})}
    return answer | {"reason": f"{answer['reason']}; {reason}"}
