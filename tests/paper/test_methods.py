from dataclasses import replace

import pytest
from synthetic import BARE, BARE_PLAN, ENVIRONMENT, PLAN, code, error, realistic, row, run_of, time

from linbench.core.gpu import Gpu
from linbench.core.measurement import Status
from linbench.core.plan import Settings
from linbench.core.telemetry import Range, Telemetry
from linbench.paper.methods import methods

SETTINGS = Settings("cpu", processes=5, precision=0.01, min_time_s=0.5, max_time_s=1.0)


def told(*rows, **kwargs):
    return methods(run_of(rows, **kwargs))


def test_it_is_one_paragraph_from_what_was_recorded():
    text = methods(realistic())
    assert text.count("\n") == 1
    for part in (
        "We measured 7 implementations (linear/chunk, linear/naive,",
        "None of these cases is supported by linear/cuda and linear/triton.",
        "mode = fwd, fwd_bwd, decode; dtype = float32; B = 1; T = 512, 1,024, 2,048,",
        "The machine has Synthetic CPU @ 2.10 GHz (2 cores) and 16.0 GiB of memory.",
        "Python 3.11.2, linbench 0.1.0, torch 2.13.0",
        "Set were OMP_NUM_THREADS=2.",
        "The code of linbench was at commit 0123456789abcdef0123456789abcdef01234567.",
        "The run is 20261122-143000-1a2b, begun 2026-11-22T14:30:00Z.",
        "The timer is cpu: wall time of a call.",
        "Each time comes from 1 process and 40 samples.",
        "order statistics over the samples of its one process; what changes from process to process is",
        "fwd_bwd is the forward and the gradient of every differentiable input and decode is one token",
        "by torch's allocator record",
        "3 oom", "4 timeout", "1 wrong", "3 skipped", "42 unsupported",
        "Failures are shown as such and enter no mean.",
        "Flagged were 3 rows contended.",
    ):  # fmt: skip
        assert part in text, part


def test_what_was_not_recorded_is_not_said():
    bare = replace(row("a/x"), memory=None, errors={})
    text = told(bare, plan=BARE_PLAN, environment=BARE)
    for word in ("commit", "Set were", "torch", "clock", "Memory", "float64", "GPU"):
        assert word not in text, word
    assert "None" not in text
    assert "Nothing was timed." in told(replace(bare, time=None))


def test_the_settings_of_the_plan_are_told():
    text = told(row("a/x"), plan=replace(PLAN, settings=SETTINGS))
    assert (
        "Asked for were, of each row over all its processes, 5 processes at most, "
        "500 ms of timed calls, up to 1.00 s until the half width of the interval is 1.00%" in text
    )
    assert "no more than 2,000 calls" in text
    assert "given up after 120 s in one process" in text


def test_several_processes_have_an_interval_over_them_and_a_mixture_says_so():
    many = replace(row("a/x"), time=replace(time(1.0), processes=(4, 9, 5)))
    assert "from 3 processes and 18 samples" in told(many)
    assert "over processes (Student's t" in told(many)
    mixed = told(many, row("b/y"))
    assert "from 1 to 3 processes and 18 to 40 samples" in mixed
    assert "or of order statistics" in mixed
    assert "less sure" not in mixed


def test_one_process_with_few_samples_has_their_range():
    few = replace(row("a/x"), time=time(1.0, n=5))
    assert "(of fewer than 6 samples their range, which is less sure)" in told(few)
    assert "their range" not in told(replace(row("a/x"), time=time(1.0, n=6)))


def test_a_run_on_cuda_tells_of_its_gpu_alone():
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
    text = told(*rows, plan=replace(PLAN, settings=settings))
    for part in (
        "mode = fwd_bwd; dtype = bfloat16;",
        "Here fwd_bwd is the forward and the gradient of every differentiable input.",
        "cuda_events_cold: time between two CUDA events around a call, with the L2 cache flushed before.",
        "Each time comes from 3 processes and 120 samples.",
        "3 processes at most",
        "over processes (Student's t",
        "multiprocessors was 1,755 to 1,980 MHz, the GPU's temperature was 41 to 47 degrees "
        "Celsius and the GPU's power was 90 to 355 W.",
    ):
        assert part in text, part
    assert "processors' mean clock" not in text


def test_clocks_are_those_of_timed_rows():
    during = {
        "cpu_mhz": Range(2100.0, 2300.0, 2596.4),
        "gpu_sm_mhz": Range(1980, 1980, 1980),
        "others_cores": Range(0.1, 0.2, 0.5),
    }
    busy = replace(row("a/x"), telemetry=Telemetry(during=during, rounds_again=2))
    other = Telemetry(during={"cpu_mhz": Range(1.0, 1.0, 1.0)})
    failed = replace(row("b/y", status=Status.OOM), telemetry=other)
    text = told(busy, failed)
    assert "the processors' mean clock was 2,100 to 2,596 MHz" in text
    assert "the clock of the GPU's multiprocessors was 1,980 MHz" in text
    assert "other processes used 0.200 processors in the median" in text
    assert "Rounds of 1 row were disturbed and measured again." in text


def test_gpus_and_a_dirty_tree_and_an_unfinished_run():
    gpu = Gpu("Some GPU", "GPU-1", 80 * 2**30, "570.1")
    found = replace(ENVIRONMENT, gpus=(gpu, gpu), code=(code("a/x", dirty=True),))
    text = told(row("a/x"), environment=found, finished_at=None)
    assert "2 Some GPU (80.0 GiB, driver 570.1)" in text
    assert "with uncommitted changes" in text
    assert "and did not finish." in text


@pytest.mark.parametrize("timer", ["cpu", "cuda_events_cold", "cuda_graph_hot", "cuda_graph_cold", "cupti"])
def test_every_timer_is_explained(timer):
    text = told(replace(row("a/x"), time=time(1.0, timer=timer)))
    assert f"The timer is {timer}: " in text


def test_two_timers_are_counted():
    text = told(row("a/x"), replace(row("b/y"), time=time(1.0, timer="cupti")))
    assert "The timer in 1 row is cpu: " in text
    assert "The timer in 1 row is cupti: " in text


def test_the_error_is_a_share_of_what_is_allowed():
    one = replace(row("a/x"), errors={"o": error(1e-6, 4e-6), "dq": error(3e-6, 4e-6)})
    assert "is 0.750 of the error allowed" in told(one)
