"""Compares the declared operations of an implementation with the counted operations of its kernels."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench.measure.call import Call, InputsInLayout

TOLERANCE = 0.02
Count = Callable[[Call], tuple[Any, float]]


def check(loaded: Registry, name: str, case: Case, count: Count, relative_error: float = 0) -> None:
    """Fails unless the operations of a call and the bytes of its arguments and results match the declaration.

    Args:
        loaded: The registry.
        name: Full name of the implementation.
        case: The case of the call.
        count: Makes the call; returns its result and its number of operations.
        relative_error: Relative error to add to the declaration.
    """
    implementation = loaded.implementation(name)
    operator = loaded.operator(implementation.operator)
    call = Call(operator, implementation, case, InputsInLayout(operator, case))
    call.prepare()
    returned, flops = count(call)
    declared = implementation.algorithmic_flops(operator, case) * (1 + relative_error)
    assert flops == pytest.approx(declared, rel=TOLERANCE), f"{name} at {case}: {flops / declared:.4f}"
    argument_bytes = sum(tensor.nbytes for tensor in call.tensors)
    returned_bytes = sum(tensor.nbytes for tensor in call.results(returned).values())
    assert operator.cost(case).bytes == argument_bytes + returned_bytes, f"{name} at {case}"


def check_sensitivity(loaded: Registry, name: str, case: Case, count: Count) -> None:
    """Fails if a declaration with an error of 5% passes the check."""
    for relative_error in (-0.05, 0.05):
        with pytest.raises(AssertionError, match=name):
            check(loaded, name, case, count, relative_error)


def modes(case: Case) -> list[Case]:
    """Returns the case in every mode."""
    return [replace(case, mode=mode) for mode in ("fwd", "fwd_bwd", "prefill", "decode")]
