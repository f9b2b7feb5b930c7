"""Compares the operations of the CUDA C++ kernels, counted in the emulation, with the declared operations."""

import pytest
from cuda_linear import SCHEDULES, EmulatedDevice, needs_gxx
from declared import check, check_sensitivity, modes

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench.measure.call import Call
from linbench_kernels.cuda import linear_attention as cuda
from linbench_kernels.cuda import linear_attention_plan as plan

# The tests of gradients use the same variants, so they are compiled only once.
HALF, FULL = Case(1, 128, 1, 128, 32, "bfloat16"), Case(1, 70, 1, 48, 80)

pytestmark = [
    needs_gxx,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.parametrize("emulated", SCHEDULES[:1], indirect=True),
]


def counter(emulated: EmulatedDevice):
    def count(call: Call):
        emulated.flops = 0
        return call(), emulated.flops

    return count


@pytest.mark.parametrize("case", [*modes(HALF), *modes(FULL)], ids=str)
def test_operations_match_the_declaration(loaded: Registry, case: Case, emulated: EmulatedDevice) -> None:
    check(loaded, "linear/cuda", case, counter(emulated))


@pytest.mark.parametrize("case", modes(HALF)[:2], ids=str)
def test_operations_of_segments_match_the_declaration(
    loaded: Registry, case: Case, emulated: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_segments = loaded.implementation("linear/cuda").flops(case)
    monkeypatch.setattr(cuda, "segment_length", lambda *_: 64)
    monkeypatch.setattr(plan, "segment_length", lambda *_: 64)
    assert loaded.implementation("linear/cuda").flops(case) > 1.1 * without_segments
    check(loaded, "linear/cuda", case, counter(emulated))


def test_an_error_of_5_percent_is_detected(loaded: Registry, emulated: EmulatedDevice) -> None:
    for case in modes(HALF)[2:]:
        check_sensitivity(loaded, "linear/cuda", case, counter(emulated))
