"""The operations that the CUDA C++ kernels do, counted in the emulation, against what is declared."""

import pytest
from cuda_linear import SCHEDULES, EmulatedDevice, needs_gxx
from declared import check, modes, sees_an_error_of_5_percent

from linbench.core.case import Case
from linbench.core.registry import Registry
from linbench.measure.call import Call
from linbench_kernels.cuda import linear_attention as cuda
from linbench_kernels.cuda import linear_attention_plan as plan

# Variants that the tests of gradients have too, so that both are compiled once.
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
def test_the_kernels_do_what_is_declared(loaded: Registry, case: Case, emulated: EmulatedDevice) -> None:
    check(loaded, "linear/cuda", case, counter(emulated))


@pytest.mark.parametrize("case", modes(HALF)[:2], ids=str)
def test_segments_do_what_is_declared(
    loaded: Registry, case: Case, emulated: EmulatedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loaded.implementation("linear/cuda").flops(case)
    monkeypatch.setattr(cuda, "segment_length", lambda *_: 64)
    monkeypatch.setattr(plan, "segment_length", lambda *_: 64)
    assert loaded.implementation("linear/cuda").flops(case) > 1.1 * whole
    check(loaded, "linear/cuda", case, counter(emulated))


def test_an_error_of_5_percent_is_seen(loaded: Registry, emulated: EmulatedDevice) -> None:
    for case in modes(HALF)[2:]:
        sees_an_error_of_5_percent(loaded, "linear/cuda", case, counter(emulated))
