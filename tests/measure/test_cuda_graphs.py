"""The timers by CUDA graphs, hot and cold, on a simulated device."""

import pytest
import torch
from fake_device import HIT_S_PER_BYTE, LAUNCH_S, MISS_S_PER_BYTE, FakeCall, FakeDevice

from linbench import Case
from linbench.core.measurement import Status
from linbench.core.registry import registry
from linbench.core.samples import Samples
from linbench.execution.failure import failure
from linbench.execution.messages import Failure
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.timers import (
    REPLAYS,
    CannotCapture,
    CannotTime,
    CudaGraphColdTimer,
    CudaGraphHotTimer,
    timer_for,
)


def test_hot_replays_find_their_input_in_cache():
    device = FakeDevice()
    call = FakeCall(device)
    sample = CudaGraphHotTimer(device, device.clock_ns).bind(call)
    device.log.clear()
    device.cached.clear()
    samples, returned = sample(lambda returned: device.log.append("keep") or returned)
    name = f"o{call.buffer}"
    assert device.log == [
        "replay", f"spoil {name}", "synchronize", "spin_kernel", "event",
        *["replay"] * REPLAYS, "event", "keep", "synchronize",
    ]  # fmt: skip
    assert returned == name
    assert samples == Samples(
        (pytest.approx(100 * HIT_S_PER_BYTE),), enqueue_s=(pytest.approx(LAUNCH_S, abs=2e-9),)
    )


@pytest.mark.parametrize("input_bytes", [30, 100, 333, 900, 2000, 10_000])
def test_cold_replays_never_find_their_input_in_cache(input_bytes):
    device = FakeDevice()
    sample = CudaGraphColdTimer(device).bind(FakeCall(device, input_bytes))
    for _ in range(3):
        assert sample()[0].time_s[0] == pytest.approx(input_bytes * MISS_S_PER_BYTE)


@pytest.mark.parametrize(("input_bytes", "copies"), [(30, 68), (100, 21), (1999, 3), (2000, 2), (10**6, 2)])
def test_cold_rotates_over_copies_larger_than_twice_the_cache(input_bytes, copies):
    device = FakeDevice()
    call = FakeCall(device, input_bytes)
    rotated = CudaGraphColdTimer(device).calls(call)
    assert len(rotated) == copies
    assert (copies - 1) * input_bytes >= 2 * device.l2_bytes
    assert call not in rotated


def test_a_cold_sample_has_at_least_thirty_calls_and_returns_the_last_result():
    device = FakeDevice()
    call = FakeCall(device, 2000)
    sample = CudaGraphColdTimer(device, device.clock_ns).bind(call)
    device.log.clear()
    samples, returned = sample()
    assert device.log.count("replay") == 15  # of two calls each
    assert device.log.index("flush") < device.log.index("synchronize") < device.log.index("event")
    assert returned == f"o{call.buffer + 2}"
    assert f"spoil {returned}" in device.log
    assert samples.enqueue_s == (pytest.approx(LAUNCH_S / 2, abs=2e-9),)  # one replay has two calls


def test_the_state_of_every_copy_is_restored_and_updated_once_per_sample():
    device = FakeDevice()
    call = FakeCall(device, 2000, advances=True)
    sample = CudaGraphColdTimer(device).bind(call)
    for _ in range(2):
        call.log.clear()
        device.log.clear()
        sample()
        assert [buffer for _, buffer in call.log] == [call.buffer + 1 + n for n in range(REPLAYS)]
        assert device.log.count("replay") == 1


def test_an_unsupported_call_is_rejected_with_the_name_of_the_timer():
    device = FakeDevice()
    with pytest.raises(CannotTime, match=r"cuda_graph_hot .* use cuda_graph_cold"):
        CudaGraphHotTimer(device).bind(FakeCall(device, advances=True))
    large = FakeDevice(l2_bytes=50_000_000)
    with pytest.raises(
        CannotTime, match="cuda_graph_cold needs 100,001 copies of inputs of only 1,000 bytes"
    ):
        CudaGraphColdTimer(large).bind(FakeCall(large, 1000))


class Synchronizes(FakeCall):
    def __call__(self):
        self.device.synchronize()

    def rotated(self, n):
        return [Synchronizes(self.device) for _ in range(n)]


class OutOfMemory(FakeCall):
    def rotated(self, _):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate it")


class NotInGraphs(FakeCall):
    def __call__(self):
        raise NotImplementedError("not in graphs")


@pytest.mark.parametrize(
    ("timer", "kind", "message"),
    [
        (
            CudaGraphHotTimer,
            Synchronizes,
            "cuda_graph_hot cannot capture the call: RuntimeError: operation not",
        ),
        (
            CudaGraphColdTimer,
            Synchronizes,
            "cuda_graph_cold cannot capture the call: RuntimeError: operation not",
        ),
        (
            CudaGraphColdTimer,
            OutOfMemory,
            "cuda_graph_cold cannot capture the call: OutOfMemoryError: CUDA out",
        ),
        (
            CudaGraphHotTimer,
            NotInGraphs,
            "cuda_graph_hot cannot capture the call: NotImplementedError: not in",
        ),
    ],
)
def test_a_call_that_cannot_be_captured_is_rejected_with_the_name_of_the_timer(timer, kind, message):
    device = FakeDevice()
    with pytest.raises(CannotCapture, match=message) as caught:
        timer(device).bind(kind(device))
    status = Status.OOM if kind is OutOfMemory else Status.UNSUPPORTED
    assert failure(caught.value) == Failure(status, str(caught.value))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("timer", ["cuda_graph_hot", "cuda_graph_cold"])
def test_a_call_that_synchronises_a_cuda_device_cannot_be_captured(timer):
    registry.load()
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    case = operator.complete(Case(1, 1024, 8, 64, 64, "float32", "fwd", "cuda"))

    class SynchronizingCall(Call):
        def __call__(self):
            returned = super().__call__()
            returned.sum().item()
            return returned

    call = SynchronizingCall(operator, implementation, case, InputsInLayout(operator, case))
    with pytest.raises(CannotCapture, match=f"{timer} cannot capture the call"):
        timer_for(timer, "cuda").bind(call)
