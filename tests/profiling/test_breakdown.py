"""A trace becomes lines: by nested operators on the host, by launched kernels on a device."""

import pytest

from linbench.core.profile import Breakdown, Kind
from linbench.profiling.breakdown import device_lines, host_lines
from linbench.profiling.diagnosis import align, diagnose
from linbench.profiling.span import MEMORY, Span

PHASES = {"linear/x fwd": "fwd", "linear/x bwd": "bwd"}
LEAVES = ("aten::mul", "aten::copy_")


def kind_of(name, has_children):
    assert isinstance(has_children, bool)
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
    span("aten::mul", 120, 190, thread=2),  # on another thread
    ranged("linear/x bwd", 200, 300),
    span("aten::mul", 200, 300),
    span("aten::mul", 250, 260),  # nested in a span of the same name
]


def by_key(lines):
    return {(line.phase, line.name): line for line in lines}


def test_the_self_times_of_the_host_add_up():
    lines = host_lines(HOST_TRACE, PHASES, 1, kind_of)
    assert sum(line.self_s for line in lines) == pytest.approx(200e-9)
    by_name = by_key(lines)
    assert by_name["fwd", "Python"].self_s == pytest.approx(40e-9)
    assert by_name["fwd", "Python"].kind is Kind.PYTHON
    assert by_name["fwd", "aten::clone"].self_s == pytest.approx(15e-9)
    assert by_name["fwd", "aten::clone"].total_s == pytest.approx(40e-9)
    assert by_name["fwd", "aten::copy_"].bytes == 64
    assert (by_name["fwd", "aten::mul"].flops, by_name["fwd", "aten::mul"].bytes) == (8, 48)
    assert by_name["fwd", "aten::mul"].calls == 1
    assert by_name["bwd", "aten::mul"].total_s == pytest.approx(100e-9)
    assert by_name["bwd", "aten::mul"].self_s == pytest.approx(100e-9)
    assert by_name["bwd", "aten::mul"].calls == 2
    assert [line.self_s for line in lines] == sorted((line.self_s for line in lines), reverse=True)


def test_lines_are_means_over_the_calls():
    twice = [*HOST_TRACE, ranged("linear/x fwd", 400, 500)]
    by_name = by_key(host_lines(twice, PHASES, 2, kind_of))
    assert by_name["fwd", "Python"].self_s == pytest.approx(70e-9)
    assert by_name["fwd", "aten::copy_"].bytes == 32


def test_a_c_function_and_a_user_range_have_lines():
    trace = [
        ranged("linear/x fwd", 0, 100),
        ranged("ctypes::attend", 10, 60),
        span("graph_0_cpp_fused_mul", 60, 70),
        ranged("mine", 70, 90),
    ]
    by_name = by_key(host_lines(trace, PHASES, 1, kind_of))
    assert by_name["fwd", "ctypes::attend"].kind is Kind.FOREIGN
    assert by_name["fwd", "graph_0_cpp_fused_mul"].kind is Kind.FOREIGN
    assert by_name["fwd", "mine"].kind is Kind.PYTHON
    assert by_name["fwd", "Python"].self_s == pytest.approx(20e-9)


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
    by_name = by_key(device_lines(DEVICE_TRACE, PHASES, 1))
    times = {key: round(line.self_s * 1e9) for key, line in by_name.items()}
    assert times == {
        ("fwd", "scan"): 20,
        ("fwd", "matmul"): 20,
        ("fwd", "launch gaps"): 20,
        ("bwd", "Memset"): 10,
        ("bwd", "matmul"): 5,
        ("bwd", "launch gaps"): 40,
    }
    assert by_name["fwd", "scan"].calls == 2
    assert by_name["bwd", "launch gaps"].calls == 1
    assert by_name["bwd", "launch gaps"].kind is Kind.GAP


def test_the_diagnosis_names_launch_gaps():
    lines = device_lines(DEVICE_TRACE, PHASES, 1)
    wall_s = sum(line.self_s for line in lines)
    breakdown = Breakdown(lines, 1, wall_s, 2e-6, 2e-6, 0, 1, {"kernels": 55e-9})
    sentences = diagnose(breakdown, "torch", "cuda")
    assert sentences[1] == "52% of this time is launch gaps; launch overhead on the host limits the call."
    assert sentences[2] == "Wall 2.00 µs, kernels 55.0 ns."
    assert diagnose(breakdown, "proton", "cuda") == [sentences[0], sentences[2]]


def test_the_diagnosis_names_the_host_share_and_page_faults():
    lines = host_lines(HOST_TRACE, PHASES, 1, kind_of)
    assert diagnose(Breakdown(lines, 1, 200e-9, 160e-9, 240e-9, 480, 2), "torch", "cpu") == [
        "The lines account for 100.0% of 200 ns per call.",
        "28% of this time is Python and the dispatcher.",
        "Without the profiler, a call takes 160 ns; with it, 25% longer.",
        "A call keeps 1.5 of 2 threads busy.",
        "A call causes 480 page faults; it allocates memory from the operating system and returns it.",
    ]


def test_the_lines_of_two_breakdowns_are_aligned_by_phase_and_name():
    before = Breakdown(host_lines(HOST_TRACE, PHASES, 1, kind_of), 1, 2e-7, 1e-7, 1e-7, 0, 1)
    without_clone = [part for part in HOST_TRACE if part.name != "aten::clone"]
    after = Breakdown(host_lines(without_clone, PHASES, 1, kind_of), 1, 2e-7, 1e-7, 1e-7, 0, 1)
    pairs = align(before, after)
    assert [pair.phase for pair in pairs] == ["fwd"] * 4 + ["bwd"] * 2
    forward = {pair.name: pair for pair in pairs if pair.phase == "fwd"}
    assert forward["aten::clone"].other is None
    assert forward["aten::clone"].difference_s == pytest.approx(-15e-9)
    assert forward["Python"].difference_s == pytest.approx(15e-9)
    assert forward["aten::copy_"].difference_s == 0
