"""Properties of all timers: names, overhead, and a correct result on a real device."""

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
from linbench.measure.hygiene import copy_result
from linbench.measure.timers import CUDA_TIMERS, CannotTime, CpuTimer, overhead, timer_for
from linbench.measure.tolerance import tolerances


def test_every_name_has_a_timer_for_its_device():
    assert {name for name, device in TIMERS.items() if device == "cuda"} == set(CUDA_TIMERS)
    assert {name for name, device in TIMERS.items() if device == "cpu"} == {CpuTimer.name}
    assert all(TIMERS[name] == device for device, name in DEFAULT_TIMER.items())
    assert isinstance(timer_for("cpu", "cpu"), CpuTimer)


def test_the_timer_is_the_requested_one_or_the_default():
    assert timer_name(None, "cpu") == "cpu"
    assert timer_name(None, "cuda") == "cuda_events_cold"
    assert timer_name("cupti", "cuda") == "cupti"


@pytest.mark.parametrize(("name", "device"), [("cpu", "cuda"), ("cupti", "cpu"), ("wall", "cpu")])
def test_a_timer_of_another_device_is_rejected_with_the_allowed_names(name, device):
    allowed = ", ".join(timer for timer, kind in TIMERS.items() if kind == device)
    with pytest.raises(UsageError, match=f"timer '{name}' is not one of those on {device}: {allowed}$"):
        timer_for(name, device)


def test_timer_names_do_not_import_torch():
    code = "import sys, linbench.core.timer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_overhead_is_the_median_and_resolution_the_smallest_step():
    ticks = count()
    durations_ns = [5, 5, 7, 4, 9]

    def clock_ns():
        tick = next(ticks)
        return 1000 * tick + (durations_ns[tick // 2] if tick % 2 else 0) - 1000 * (tick % 2)

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
@pytest.mark.parametrize("name", sorted(CUDA_TIMERS))
def test_every_cuda_timer_returns_a_correct_result(name, mode):
    registry.load()
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    case = operator.complete(Case(2, 1024, 8, 64, 64, "float32", mode, "cuda"))
    in_layout = InputsInLayout(operator, case)
    call = Call(operator, implementation, case, in_layout)
    timer = timer_for(name, "cuda")
    if name == "cuda_graph_hot" and mode == "decode":
        with pytest.raises(CannotTime, match="use cuda_graph_cold"):
            timer.bind(call)
        return
    sample = timer.bind(call)
    for _ in range(3):
        call.prepare()
        samples, returned = sample(copy_result)
        assert 0 < samples.time_s[0] < 1
        assert 0 < samples.enqueue_s[0] < 1
        assert len(samples.kernels_s) == (name == "cupti")
    expected = operator.expected(case, in_layout.canonical)
    assert (
        complaint(errors(call.results(returned), expected, tolerances(operator, case), operator.result_axes))
        is None
    )
