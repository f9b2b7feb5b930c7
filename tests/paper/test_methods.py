from dataclasses import replace

import pytest
from synthetic import BARE, BARE_PLAN, ENVIRONMENT, PLAN, code, error, realistic, row, run_of, time

from linbench.core.gpu import Gpu
from linbench.core.measurement import Status
from linbench.core.plan import Settings
from linbench.core.telemetry import Range, Telemetry
from linbench.paper.methods import methods

SETTINGS = Settings("cpu", processes=5, precision=0.01, min_time_s=0.5, max_time_s=1.0)


def text_of(*rows, **kwargs):
    return methods(run_of(rows, **kwargs))


def test_the_text_is_one_paragraph_of_recorded_data():
    text = methods(realistic())
    assert text.count("\n") == 1
    for part in (
        "We measured 7 implementations (linear/chunk, linear/naive,",
        "The implementations linear/cuda and linear/triton support none of these cases.",
        "mode = fwd, fwd_bwd, decode; dtype = float32; B = 1; T = 512, 1,024, 2,048,",
        "The hardware was Synthetic CPU @ 2.10 GHz (2 cores) and 16.0 GiB of memory; ",
        "Python 3.11.2, linbench 0.1.0, torch 2.13.0",
        "The environment variable OMP_NUM_THREADS=2 was set.",
        "The code of linbench was at commit 0123456789abcdef0123456789abcdef01234567.",
        "The run 20261122-143000-1a2b started at 2026-11-22T14:30:00Z.",
        "The timer was cpu (wall-clock time of one call).",
        "Each reported time comes from 1 process and 40 samples.",
        "from the order statistics of the samples of a single process; the interval does not include the",
        "Here, fwd_bwd denotes the forward pass and the gradients of all differentiable inputs and decode",
        "from the records of PyTorch's allocator",
        "3 oom", "4 timeout", "1 wrong", "3 skipped", "42 unsupported",
        "Failures are reported as such and are excluded from all means.",
        "Of all measurements, 3 are flagged contended.",
    ):  # fmt: skip
        assert part in text, part


def test_the_text_omits_what_was_not_recorded():
    bare = replace(row("a/x"), memory=None, errors={})
    text = text_of(bare, plan=BARE_PLAN, environment=BARE)
    for word in ("commit", "variable", "torch", "CPU clock", "Memory", "float64", "GPU"):
        assert word not in text, word
    assert "None" not in text
    assert "No time was measured." in text_of(replace(bare, time=None))


def test_the_text_states_the_settings_of_the_plan():
    text = text_of(row("a/x"), plan=replace(PLAN, settings=SETTINGS))
    assert (
        "The limits of each measurement were 5 processes, 2,000 calls and 1.00 s of timed calls; within "
        "these, timing continued for at least 500 ms and until the half width of the 95% confidence interval "
        "was at most 1.00% of the median." in text
    )
    assert "Measurements that took more than 120 s in one process were stopped." in text


def test_several_processes_have_an_interval_over_processes_and_a_mixture_both_kinds():
    many = replace(row("a/x"), time=replace(time(1.0), processes=(4, 9, 5)))
    assert "from 3 processes and 18 samples" in text_of(many)
    assert "over processes (Student's t" in text_of(many)
    mixed = text_of(many, row("b/y"))
    assert "from 1 to 3 processes and 18 to 40 samples" in mixed
    assert "or, for a single process, from the order statistics" in mixed
    assert "range" not in mixed


def test_one_process_with_few_samples_has_their_range():
    few = replace(row("a/x"), time=time(1.0, n=5))
    assert "(for fewer than 6 samples, their range, with less than 95% confidence)" in text_of(few)
    assert "their range" not in text_of(replace(row("a/x"), time=time(1.0, n=6)))


def test_a_run_on_cuda_reports_the_clocks_of_its_gpu_only():
    during = {
        "gpu_sm_mhz": Range(1755, 1980, 1980),
        "gpu_c": Range(41, 44, 47),
        "gpu_w": Range(90.2, 310.0, 355.4),
    }
    rows = [
        replace(
            row(name, mode="fwd_bwd", dtype="bfloat16", device="cuda"),
            time=replace(time(1e-3, timer="cuda_events_cold"), processes=(40, 41, 39)),
            telemetry=Telemetry(during=during),
        )
        for name in ("a/x", "b/y")
    ]
    settings = replace(SETTINGS, processes=3, timer="cuda_events_cold")
    text = text_of(*rows, plan=replace(PLAN, settings=settings))
    for part in (
        "mode = fwd_bwd; dtype = bfloat16;",
        "Here, fwd_bwd denotes the forward pass and the gradients of all differentiable inputs.",
        "cuda_events_cold (time between two CUDA events around one call, after a flush of the L2 cache).",
        "Each reported time comes from 3 processes and 120 samples.",
        "The limits of each measurement were 3 processes",
        "over processes (Student's t",
        "the SM clock of the GPU was 1,755 to 1,980 MHz, the GPU temperature was 41 to 47 degrees "
        "Celsius and the GPU power was 90 to 355 W.",
    ):
        assert part in text, part
    assert "CPU clock" not in text


def test_clocks_are_those_of_timed_rows():
    during = {
        "cpu_mhz": Range(2100.0, 2300.0, 2596.4),
        "gpu_sm_mhz": Range(1980, 1980, 1980),
        "others_cores": Range(0.1, 0.2, 0.5),
    }
    busy = replace(row("a/x"), telemetry=Telemetry(during=during, rounds_again=2))
    slow = Telemetry(during={"cpu_mhz": Range(1.0, 1.0, 1.0)})
    failed = replace(row("b/y", status=Status.OOM), telemetry=slow)
    text = text_of(busy, failed)
    assert "the mean CPU clock was 2,100 to 2,596 MHz" in text
    assert "the SM clock of the GPU was 1,980 MHz" in text
    assert "other processes used a median of 0.200 CPU cores" in text
    assert "In 1 measurement, disturbed rounds were repeated." in text


def test_gpus_a_dirty_tree_and_an_unfinished_run_are_reported():
    gpu = Gpu("Some GPU", "GPU-1", 80 * 2**30, "570.1")
    environment = replace(ENVIRONMENT, gpus=(gpu, gpu), code=(code("a/x", dirty=True),))
    text = text_of(row("a/x"), environment=environment, finished_at=None)
    assert "2 Some GPU (80.0 GiB, driver 570.1)" in text
    assert "with uncommitted changes" in text
    assert "and did not finish." in text


@pytest.mark.parametrize("timer", ["cpu", "cuda_events_cold", "cuda_graph_hot", "cuda_graph_cold", "cupti"])
def test_every_timer_is_explained(timer):
    text = text_of(replace(row("a/x"), time=time(1.0, timer=timer)))
    assert f"The timer was {timer} (" in text


def test_two_timers_are_counted():
    text = text_of(row("a/x"), replace(row("b/y"), time=time(1.0, timer="cupti")))
    assert "For 1 measurement, the timer was cpu (" in text
    assert "For 1 measurement, the timer was cupti (" in text


def test_the_error_is_relative_to_the_tolerance():
    measurement = replace(row("a/x"), errors={"o": error(1e-6, 4e-6), "dq": error(3e-6, 4e-6)})
    assert "is 0.750 times its tolerance" in text_of(measurement)
