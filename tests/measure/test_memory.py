"""Peak memory and its breakdown, on allocations of known size."""

import json

import pytest
import torch

from linbench import Case
from linbench.core.implementation import Implementation
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.memory import measure_memory, measure_resident_memory

registry.load()
MIB = 2**20
CASE = Case(1, 2048, 4, 32, 32)  # o, q, k and v of 1 MiB each
INPUT_BYTES = 3 * MIB


def allocate(mebibytes):
    return torch.ones(mebibytes * MIB // 4)


def call_of(function, case=CASE):
    operator = registry.operator("linear")
    implementation = Implementation("linear/x", "linear", "BTHD", {"fwd": function})
    return Call(operator, implementation, case, InputsInLayout(operator, case))


def peak_of_three(q, k, v):
    first = allocate(8)
    second = first + 1
    del first
    third = allocate(16)
    return v + (second[0] + third[0])


def large_allocation(q, k, v):
    allocate(96)
    return v + 1


@pytest.mark.parametrize(
    ("meter", "function", "mebibytes"), [("allocator", peak_of_three, 26), ("rss", large_allocation, 96)]
)
def test_the_peak_of_a_known_allocation(meter, function, mebibytes):
    call = call_of(function)
    memory = measure_resident_memory(call) if meter == "rss" else measure_memory(call)[0]
    assert memory.meter == meter
    assert memory.extra_bytes == pytest.approx(mebibytes * MIB, rel=0.05)
    assert memory.peak_bytes == memory.extra_bytes + INPUT_BYTES
    assert memory.output_bytes == MIB
    assert memory.workspace_bytes == memory.extra_bytes - MIB
    assert memory.saved_bytes == memory.state_bytes == 0


def test_released_memory_is_not_counted_twice():
    def twice(q, k, v):
        allocate(8)
        allocate(8)
        return v + 1

    assert measure_memory(call_of(twice))[0].extra_bytes == pytest.approx(8 * MIB, rel=0.05)


def test_the_allocator_is_exact():
    def odd(q, k, v):
        torch.empty(12345, dtype=torch.uint8)
        return torch.empty(v.shape)

    assert measure_memory(call_of(odd))[0].extra_bytes == MIB


class Keeps(torch.autograd.Function):
    """Returns v, saves 8 MiB and v itself for backward, and allocates 2 MiB temporarily in either."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(allocate(8), v)
        allocate(2)
        return v.clone()

    @staticmethod
    def backward(ctx, gradient):
        assert len(ctx.saved_tensors) == 2
        allocate(2)
        return gradient + 1


def test_tensors_saved_for_backward_are_distinguished_from_outputs_and_workspace():
    def keeps(q, k, v):
        return Keeps.apply(v) + 2 * q + 3 * k

    memory = measure_memory(call_of(keeps, Case(1, 2048, 4, 32, 32, mode="fwd_bwd")))[0]
    assert memory.saved_bytes == pytest.approx(8 * MIB, rel=0.05)
    assert memory.output_bytes == 4 * MIB  # o, dq, dk and dv
    assert memory.extra_bytes == memory.output_bytes + memory.saved_bytes + memory.workspace_bytes


def test_state_bytes_are_counted_in_modes_with_a_state():
    operator, implementation = registry.operator("linear"), registry.implementation("linear/chunk")
    state_bytes = 4 * 4 * (32 * 32 + 32)
    for mode, expected in (("fwd", 0), ("prefill", state_bytes), ("decode", state_bytes)):
        case = Case(1, 64, 4, 32, 32, mode=mode)
        call = Call(operator, implementation, case, InputsInLayout(operator, case))
        assert measure_memory(call)[0].state_bytes == expected


def test_a_returned_input_does_not_count_as_output():
    assert measure_memory(call_of(lambda q, k, v: v))[0].output_bytes == 0


LONG = """
import time
import numpy as np
from linbench import implementation
from linbench.core.registry import registry

@implementation("linear", "long")
def long(q, k, v):
    buffer = np.ones(96 * 2**20, dtype=np.uint8)  # not from torch
    if q.shape[1] > 64:
        time.sleep(2.1)
    return registry.implementation("linear/naive")(q, k, v) + (int(buffer[0]) - 1)
"""


def test_the_memory_of_a_long_call_is_the_resident_set_size_of_a_separate_process(linbench):
    (linbench.folder / "long.py").write_text(LONG)
    out, _ = linbench(
        "run", "--plugin", "long.py", "--impl", "linear/long", "--T", "65", "--H", "1", "--min-time", "20ms",
        "--processes", "1", "--no-report", "--format", "json", "--device", "cpu",
    )  # fmt: skip
    row = json.loads(out)
    assert row["status"] == "ok", row
    assert row["memory_meter"] == "rss"
    assert row["extra_bytes"] == pytest.approx(96 * MIB, rel=0.05)
