"""What is common to all timers: their names, their overhead, and a right result on a device that is there."""

import subprocess
import sys
from itertools import count

import pytest
import torch

from linbench import Case
from linbench.core.errors import UsageError
from linbench.core.registry import registry
from linbench.core.timer import DEFAULT_TIMER, TIMERS, timer_name
from linbench.measure.accuracy import complaint, errors
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.hygiene import copied
from linbench.measure.timers import CUDA_TIMERS, CannotTime, CpuTimer, overhead, timer_for


def test_every_name_is_a_timer_of_its_device():
    assert {name for name, device in TIMERS.items() if device == "cuda"} == set(CUDA_TIMERS)
    assert {name for name, device in TIMERS.items() if device == "cpu"} == {CpuTimer.name}
    assert all(TIMERS[name] == device for device, name in DEFAULT_TIMER.items())
    assert isinstance(timer_for("cpu", "cpu"), CpuTimer)


def test_a_timer_is_the_one_that_was_named_or_the_default():
    assert timer_name(None, "cpu") == "cpu"
    assert timer_name(None, "cuda") == "cuda_events_cold"
    assert timer_name("cupti", "cuda") == "cupti"


@pytest.mark.parametrize(("name", "device"), [("cpu", "cuda"), ("cupti", "cpu"), ("wall", "cpu")])
def test_a_timer_of_another_device_is_refused_with_the_names_that_are_not(name, device):
    allowed = ", ".join(timer for timer, kind in TIMERS.items() if kind == device)
    with pytest.raises(UsageError, match=f"timer '{name}' is not one of those on {device}: {allowed}$"):
        timer_for(name, device)


def test_names_are_known_without_torch():
    code = "import sys, linbench.core.timer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overhead_is_the_median_and_resolution_the_least_step():
    ticks = count()
    took = [5, 5, 7, 4, 9]

    def clock_ns():
        tick = next(ticks)
        return 1000 * tick + (took[tick // 2] if tick % 2 else 0) - 1000 * (tick % 2)

    overhead_s, resolution_s = overhead(CpuTimer(clock_ns), lambda: None, samples=5)
    assert overhead_s == pytest.approx(5e-9)
    assert resolution_s == pytest.approx(2e-9)
    steady = count(step=10)
    assert overhead(CpuTimer(lambda: next(steady)), lambda: None, 3) == (pytest.approx(10e-9), 0.0)


@pytest.mark.serial  # it bounds a real time
def test_overhead_of_the_real_clock_is_small():
    overhead_s, resolution_s = overhead(CpuTimer(), lambda: None)
    assert 0 < overhead_s < 1e-4
    assert 0 < resolution_s < 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
@pytest.mark.parametrize("timer", sorted(CUDA_TIMERS))
def test_every_timer_of_a_cuda_device_times_a_right_result(timer, mode):
    registry.load()
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    case = operator.complete(Case(2, 1024, 8, 64, 64, "float32", mode, "cuda"))
    in_layout = InputsInLayout(operator, case)
    call = Call(operator, implementation, case, in_layout)
    taken = timer_for(timer, "cuda")
    if timer == "cuda_graph_hot" and mode == "decode":
        with pytest.raises(CannotTime, match="use cuda_graph_cold"):
            taken.bind(call)
        return
    sample = taken.bind(call)
    for _ in range(3):
        call.prepare()
        samples, returned = sample(copied)
        assert 0 < samples.time_s[0] < 1
        assert 0 < samples.enqueue_s[0] < 1
        assert len(samples.kernels_s) == (timer == "cupti")
    expected = operator.expected(case, in_layout.canonical)
    assert complaint(errors(call.results(returned), expected, operator.tolerance["float32"])) is None
