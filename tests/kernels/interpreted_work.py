"""Compares the operations of the Triton kernels, counted in the interpreter, with the declared operations.

Run by `make test`, which sets TRITON_INTERPRET=1 before Triton is imported.
"""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from declared import check, check_sensitivity, modes
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle
from triton_interpreter import IGNORE_TRITON_WARNINGS, patch_bfloat16

from linbench.core.case import Case
from linbench.core.registry import registry
from linbench.measure.call import Call
from linbench_kernels.triton import decayed_attention_calls, linear_attention_calls
from linbench_kernels.triton.linear_attention_plan import tiles

patch_bfloat16()
pytestmark = IGNORE_TRITON_WARNINGS
registry.load()

NAMES = ("linear/triton", "retention/triton", "lightning/triton", "simple_gla/triton")
ALIGNED = Case(1, 128, 1, 64, 64, "bfloat16")
RAGGED = [Case(1, 24, 1, 48, 80), Case(1, 70, 1, 80, 48, "bfloat16")]


class Counter:
    """Counts the operations of tl.dot and, in decode without tl.dot, of products with a broadcast vector.

    k v^T and q^T S are such products, and each of their elements is then added to a sum. A decay is a scalar,
    and its product with a state is not counted.
    """

    def __init__(self) -> None:
        self.dots = self.broadcasts = 0

    def count(self, call: Call) -> tuple[Any, int]:
        self.dots = self.broadcasts = 0
        returned = call()
        assert (self.dots == 0) == (call.case.mode == "decode")
        return returned, self.dots or self.broadcasts


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    dot, multiply = InterpreterBuilder.create_dot, InterpreterBuilder.create_fmul

    def counting_dot(self: Any, a: TensorHandle, b: TensorHandle, *rest: Any) -> TensorHandle:
        counter.dots += 2 * a.data.size * b.data.shape[-1]
        return dot(self, a, b, *rest)

    def counting_multiply(self: Any, a: TensorHandle, b: TensorHandle) -> TensorHandle:
        product = multiply(self, a, b)
        if product.data.ndim == 2 and any(0 in x.data.strides for x in (a, b)):
            counter.broadcasts += 2 * product.data.size
        return product

    monkeypatch.setattr(InterpreterBuilder, "create_dot", counting_dot)
    monkeypatch.setattr(InterpreterBuilder, "create_fmul", counting_multiply)
    return counter


@pytest.mark.parametrize("case", modes(ALIGNED), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_operations_match_the_declaration(name: str, case: Case, counter: Counter) -> None:
    check(registry, name, case, counter.count)


@pytest.mark.parametrize("case", [variant for case in RAGGED for variant in modes(case)[1::2]], ids=str)
@pytest.mark.parametrize("name", ["linear/triton", "simple_gla/triton"])
def test_operations_of_padding_and_slices_match_the_declaration(
    name: str, case: Case, counter: Counter
) -> None:
    check(registry, name, case, counter.count)


@pytest.mark.parametrize("case", modes(ALIGNED)[:2], ids=str)
@pytest.mark.parametrize("name", ["linear/triton", "simple_gla/triton"])
def test_operations_of_segments_match_the_declaration(
    name: str, case: Case, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_segments = registry.implementation(name).flops(case)
    monkeypatch.setattr(linear_attention_calls, "segment_length", lambda *_: 64)
    monkeypatch.setattr(decayed_attention_calls, "segment_length", lambda *_: 64)
    monkeypatch.setattr(decayed_attention_calls, "DRIFT", 64)
    assert registry.implementation(name).flops(case) > 1.1 * without_segments
    check(registry, name, case, counter.count)


@pytest.mark.parametrize(
    ("name", "calls"),
    [("linear/triton", linear_attention_calls), ("simple_gla/triton", decayed_attention_calls)],
)
def test_operations_with_tiles_of_an_older_device_match_the_declaration(
    name: str, calls: ModuleType, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = replace(ALIGNED, mode="fwd_bwd")
    hopper = registry.implementation(name).flops(case)
    monkeypatch.setattr(calls, "tiles", lambda *sizes, hopper: tiles(*sizes, hopper=False))  # noqa: ARG005
    assert registry.implementation(name).flops(case) < 0.95 * hopper
    check(registry, name, case, counter.count)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_of_5_percent_is_detected(name: str, counter: Counter) -> None:
    for case in modes(ALIGNED)[2:]:
        check_sensitivity(registry, name, case, counter.count)
