"""The operations that the Triton kernels do, counted in the interpreter, against what is declared.

Run by `make test`, which sets TRITON_INTERPRET=1 before Triton is imported.
"""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from declared import check, modes, sees_an_error_of_5_percent
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle
from triton_interpreter import OF_OLD_TRITON, mend_bfloat16

from linbench.core.case import Case
from linbench.core.registry import registry
from linbench.measure.call import Call
from linbench_kernels.triton import decayed_attention_calls, linear_attention_calls
from linbench_kernels.triton.linear_attention_plan import tiles

mend_bfloat16()
pytestmark = OF_OLD_TRITON
registry.load()

NAMES = ("linear/triton", "retention/triton", "lightning/triton", "simple_gla/triton")
WHOLE = Case(1, 128, 1, 64, 64, "bfloat16")
RAGGED = [Case(1, 24, 1, 48, 80), Case(1, 70, 1, 80, 48, "bfloat16")]


class Counted:
    """What tl.dot does; and in decode, which has none, what products with a broadcast vector do.

    k v^T and q^T S are such products, whose every element is added to something after; a decay is one number,
    and its product with a state none.
    """

    def __init__(self) -> None:
        self.dots = self.broadcasts = 0

    def count(self, call: Call) -> tuple[Any, int]:
        self.dots = self.broadcasts = 0
        returned = call()
        assert (self.dots == 0) == (call.case.mode == "decode")
        return returned, self.dots or self.broadcasts


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted()
    dot, multiply = InterpreterBuilder.create_dot, InterpreterBuilder.create_fmul

    def counted_dot(self: Any, a: TensorHandle, b: TensorHandle, *rest: Any) -> TensorHandle:
        counter.dots += 2 * a.data.size * b.data.shape[-1]
        return dot(self, a, b, *rest)

    def counted_multiply(self: Any, a: TensorHandle, b: TensorHandle) -> TensorHandle:
        made = multiply(self, a, b)
        if made.data.ndim == 2 and any(0 in x.data.strides for x in (a, b)):
            counter.broadcasts += 2 * made.data.size
        return made

    monkeypatch.setattr(InterpreterBuilder, "create_dot", counted_dot)
    monkeypatch.setattr(InterpreterBuilder, "create_fmul", counted_multiply)
    return counter


@pytest.mark.parametrize("case", modes(WHOLE), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_kernels_do_what_is_declared(name: str, case: Case, counted: Counted) -> None:
    check(registry, name, case, counted.count)


@pytest.mark.parametrize("case", [one for case in RAGGED for one in modes(case)[1::2]], ids=str)
@pytest.mark.parametrize("name", ["linear/triton", "simple_gla/triton"])
def test_padding_and_slices_are_declared(name: str, case: Case, counted: Counted) -> None:
    check(registry, name, case, counted.count)


@pytest.mark.parametrize("case", modes(WHOLE)[:2], ids=str)
@pytest.mark.parametrize("name", ["linear/triton", "simple_gla/triton"])
def test_segments_do_what_is_declared(
    name: str, case: Case, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = registry.implementation(name).flops(case)
    monkeypatch.setattr(linear_attention_calls, "segment_length", lambda *_: 64)
    monkeypatch.setattr(decayed_attention_calls, "segment_length", lambda *_: 64)
    monkeypatch.setattr(decayed_attention_calls, "DRIFT", 64)
    assert registry.implementation(name).flops(case) > 1.1 * whole
    check(registry, name, case, counted.count)


@pytest.mark.parametrize(
    ("name", "calls"),
    [("linear/triton", linear_attention_calls), ("simple_gla/triton", decayed_attention_calls)],
)
def test_the_tiles_of_an_older_device_do_what_is_declared(
    name: str, calls: ModuleType, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = replace(WHOLE, mode="fwd_bwd")
    hopper = registry.implementation(name).flops(case)
    monkeypatch.setattr(calls, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=False))  # noqa: ARG005
    assert registry.implementation(name).flops(case) < 0.95 * hopper
    check(registry, name, case, counted.count)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_5_percent_is_seen(name: str, counted: Counted) -> None:
    for case in modes(WHOLE)[2:]:
        sees_an_error_of_5_percent(registry, name, case, counted.count)
