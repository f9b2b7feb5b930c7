"""A trace becomes lines: on the host by what ran inside what, on a device by what was launched where."""

import pytest

from linbench.core.profile import Breakdown, Kind
from linbench.profiling.breakdown import device_lines, host_lines
from linbench.profiling.span import MEMORY, Span
from linbench.profiling.words import aligned, diagnosis

PHASES = {"linear/x fwd": "fwd", "linear/x bwd": "bwd"}
LEAVES = ("aten::mul", "aten::copy_")


def kind_of(name, called):
    assert isinstance(called, bool)
    return Kind.OPERATOR if name in LEAVES else Kind.DISPATCHER


def span(name, start, end, source="cpu_op", thread=1, **more):
    return Span(name, source, thread, start, end, **more)


def ranged(name, start, end):
    return span(name, start, end, "user_annotation")


def memory(at, size):
    return span(MEMORY, at, at, "cpu_instant_event", allocated_bytes=size)


HOST_TRACE = [
    span("aten::mul", 0, 90),  # before the call
    ranged("linear/x fwd", 100, 200),
    span("aten::clone", 110, 150),
    span("aten::copy_", 120, 145, argument_bytes=64),
    span("aten::mul", 160, 180, flops=8, argument_bytes=32),
    memory(165, 16),
    memory(170, -16),
    span("aten::mul", 120, 190, thread=2),  # another thread's
    ranged("linear/x bwd", 200, 300),
    span("aten::mul", 200, 300),
    span("aten::mul", 250, 260),  # inside another of its name
]


def by_key(lines):
    return {(line.phase, line.name): line for line in lines}


def test_the_host_s_time_adds_up_and_each_line_has_its_own():
    lines = host_lines(HOST_TRACE, PHASES, 1, kind_of)
    assert sum(line.self_s for line in lines) == pytest.approx(200e-9)
    found = by_key(lines)
    assert found["fwd", "Python"].self_s == pytest.approx(40e-9)
    assert found["fwd", "Python"].kind is Kind.PYTHON
    assert found["fwd", "aten::clone"].self_s == pytest.approx(15e-9)
    assert found["fwd", "aten::clone"].total_s == pytest.approx(40e-9)
    assert found["fwd", "aten::copy_"].bytes == 64
    assert (found["fwd", "aten::mul"].flops, found["fwd", "aten::mul"].bytes) == (8, 48)
    assert found["fwd", "aten::mul"].calls == 1
    assert found["bwd", "aten::mul"].total_s == pytest.approx(100e-9)
    assert found["bwd", "aten::mul"].self_s == pytest.approx(100e-9)
    assert found["bwd", "aten::mul"].calls == 2
    assert [line.self_s for line in lines] == sorted((line.self_s for line in lines), reverse=True)


def test_what_lines_hold_is_the_mean_of_the_calls():
    twice = [*HOST_TRACE, ranged("linear/x fwd", 400, 500)]
    found = by_key(host_lines(twice, PHASES, 2, kind_of))
    assert found["fwd", "Python"].self_s == pytest.approx(70e-9)
    assert found["fwd", "aten::copy_"].bytes == 32


def test_a_c_function_and_a_range_of_one_s_own_have_lines():
    trace = [
        ranged("linear/x fwd", 0, 100),
        ranged("ctypes::attend", 10, 60),
        span("graph_0_cpp_fused_mul", 60, 70),
        ranged("mine", 70, 90),
    ]
    found = by_key(host_lines(trace, PHASES, 1, kind_of))
    assert found["fwd", "ctypes::attend"].kind is Kind.FOREIGN
    assert found["fwd", "graph_0_cpp_fused_mul"].kind is Kind.FOREIGN
    assert found["fwd", "mine"].kind is Kind.PYTHON
    assert found["fwd", "Python"].self_s == pytest.approx(20e-9)


def launch(at, number):
    return span("cudaLaunchKernel", at, at + 2, "cuda_runtime", correlation=number)


def kernel(name, start, end, number, source="kernel"):
    return span(name, start, end, source, thread=0, correlation=number)


DEVICE_TRACE = [
    ranged("linear/x fwd", 0, 20),
    launch(1, 1),
    launch(5, 2),
    ranged("linear/x bwd", 20, 40),
    launch(25, 3),
    launch(30, 4),
    kernel("scan", 100, 110, 1),
    kernel("matmul", 130, 150, 2),
    kernel("Memset", 145, 155, 3, "gpu_memset"),  # on another stream
    kernel("matmul", 195, 200, 4),
    kernel("linear/x fwd", 100, 150, 0, "gpu_user_annotation"),
    kernel("scan", 50, 60, 99),  # launched before
    ranged("linear/x fwd", 1000, 1020),
    launch(1001, 5),
    kernel("scan", 2000, 2010, 5),
]


def test_kernels_belong_to_the_phase_that_launched_them_and_gaps_to_the_next_kernel():
    found = by_key(device_lines(DEVICE_TRACE, PHASES, 1))
    times = {key: round(line.self_s * 1e9) for key, line in found.items()}
    assert times == {
        ("fwd", "scan"): 20,
        ("fwd", "matmul"): 20,
        ("fwd", "launch gaps"): 20,
        ("bwd", "Memset"): 10,
        ("bwd", "matmul"): 5,
        ("bwd", "launch gaps"): 40,
    }
    assert found["fwd", "scan"].calls == 2
    assert found["bwd", "launch gaps"].calls == 1
    assert found["bwd", "launch gaps"].kind is Kind.GAP


def test_launch_gaps_in_words():
    lines = device_lines(DEVICE_TRACE, PHASES, 1)
    wall_s = sum(line.self_s for line in lines)
    told = Breakdown(lines, 1, wall_s, 2e-6, 2e-6, 0, 1, {"kernels": 55e-9})
    said = diagnosis(told, "torch", "cuda")
    assert said[1] == "52% of this time is launch gaps; the host does not launch fast enough."
    assert said[2] == "Wall 2.00 µs, kernels 55.0 ns."
    assert diagnosis(told, "proton", "cuda") == [said[0], said[2]]


def test_the_host_s_share_and_page_faults_in_words():
    lines = host_lines(HOST_TRACE, PHASES, 1, kind_of)
    said = diagnosis(Breakdown(lines, 1, 200e-9, 160e-9, 240e-9, 480, 2), "torch", "cpu")
    assert said == [
        "The lines account for 100.0% of 200 ns a call.",
        "28% of this time is Python and the dispatcher.",
        "Without the profiler a call takes 160 ns: profiled it took 25% longer.",
        "It keeps 1.5 of 2 threads busy.",
        "It meets 480 page faults a call; it takes memory from the system and gives it back.",
    ]


def test_two_breakdowns_are_lined_up_by_phase_and_name():
    one = Breakdown(host_lines(HOST_TRACE, PHASES, 1, kind_of), 1, 2e-7, 1e-7, 1e-7, 0, 1)
    without = [part for part in HOST_TRACE if part.name != "aten::clone"]
    other = Breakdown(host_lines(without, PHASES, 1, kind_of), 1, 2e-7, 1e-7, 1e-7, 0, 1)
    pairs = aligned(one, other)
    assert [pair.phase for pair in pairs] == ["fwd"] * 4 + ["bwd"] * 2
    first = {pair.name: pair for pair in pairs if pair.phase == "fwd"}
    assert first["aten::clone"].other is None
    assert first["aten::clone"].difference_s == pytest.approx(-15e-9)
    assert first["Python"].difference_s == pytest.approx(15e-9)
    assert first["aten::copy_"].difference_s == 0
