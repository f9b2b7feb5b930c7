"""What an implementation of ours declares, against what its kernels are counted to do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench.measure.call import Call, InputsInLayout

TOLERANCE = 0.02
Count = Callable[[Call], tuple[Any, float]]


def check(loaded: Registry, name: str, case: Case, count: Count, wrong_by: float = 0) -> None:
    """Fails unless a call does the operations, and is given and gives the bytes, that are declared.

    Args:
        loaded: The registry.
        name: Full name of the implementation.
        case: Where it is called.
        count: Makes the call; returns its result and the operations that it did.
        wrong_by: What to change the declaration by, relative.
    """
    implementation = loaded.implementation(name)
    operator = loaded.operator(implementation.operator)
    call = Call(operator, implementation, case, InputsInLayout(operator, case))
    call.prepare()
    returned, flops = count(call)
    declared = implementation.algorithmic_flops(operator, case) * (1 + wrong_by)
    assert flops == pytest.approx(declared, rel=TOLERANCE), f"{name} at {case}: {flops / declared:.4f}"
    given = sum(tensor.nbytes for tensor in call.tensors)
    returned_bytes = sum(tensor.nbytes for tensor in call.results(returned).values())
    assert operator.cost(case).bytes == given + returned_bytes, f"{name} at {case}"


def sees_an_error_of_5_percent(loaded: Registry, name: str, case: Case, count: Count) -> None:
    """Fails if a declaration that is off by 5% passes."""
    for wrong_by in (-0.05, 0.05):
        with pytest.raises(AssertionError, match=name):
            check(loaded, name, case, count, wrong_by)


def modes(case: Case) -> list[Case]:
    """Returns the case in every mode."""
    return [replace(case, mode=mode) for mode in ("fwd", "fwd_bwd", "prefill", "decode")]
