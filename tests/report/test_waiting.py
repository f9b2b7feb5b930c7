from dataclasses import replace

import pytest
from synthetic import BARE, row, run_of, table

from linbench.analysis import panels
from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Kind, Line, Profile
from linbench.report.page import render
from linbench.report.profiled import AnnotatedProfile
from linbench.report.waiting import Waiting, waiting


def timed_row(name, median_s, T, device="cpu", **parts):
    measurement = row(name, median_s, T=T, device=device)
    return replace(measurement, time=replace(measurement.time, **parts))


def profile(measurement, number, **shares):
    lines = tuple(Line("fwd", kind, Kind(kind), 1.0, share, share) for kind, share in shares.items())
    breakdown = Breakdown(lines, 3, 1.0, 0.9, 0.9, 0.0, 2)
    return Profile(
        measurement.operator,
        measurement.implementation,
        measurement.case,
        "torch",
        Status.OK,
        BARE,
        breakdown=breakdown,
        id=number,
    )


def waiting_of(rows, profiles=()):
    (panel,) = panels(table(rows))
    return waiting(panel, 2, profiles)


def test_on_the_cpu_sentences_state_the_busy_cores_at_both_ends():
    rows = [
        timed_row("a/x", 1e-3, T, cpu_median_s=1e-3 * busy)
        for T, busy in ((128, 1.0), (512, 1.5), (4096, 1.94))
    ]
    assert waiting_of(rows) == Waiting((), ("a/x keeps 1.0 of 2 cores busy at T = 128, 1.9 at T = 4,096.",))
    assert waiting_of(rows[:1]).others == ("a/x keeps 1.0 of 2 cores busy at T = 128.",)


def test_on_cuda_sentences_state_the_share_of_launch_gaps():
    rows = [
        timed_row("a/waits", 1e-3, 128, "cuda", kernels_median_s=3.8e-4),
        timed_row("a/waits", 1e-3, 4096, "cuda", kernels_median_s=9.6e-4),
        timed_row("a/works", 1e-3, 4096, "cuda", kernels_median_s=8e-4),
    ]
    assert waiting_of(rows) == Waiting(
        ("62% of the time of a/waits at T = 128 is launch gaps, 4% at T = 4,096.",),
        ("20% of the time of a/works at T = 4,096 is launch gaps.",),
    )


def test_rows_without_the_data_and_failures_have_no_sentence():
    assert waiting_of([timed_row("a/x", 1e-3, 128), row("a/y", status=Status.OOM)]) == Waiting((), ())


@pytest.mark.parametrize(("python", "field"), [(0.25, "bound"), (0.05, "others")])
def test_a_profile_states_the_share_of_python_and_the_dispatcher(python, field):
    measurement = timed_row("a/x", 1e-3, 128)
    breakdown = profile(measurement, 12, python=python, dispatcher=0.16, operator=0.84 - python)
    assert getattr(waiting_of([measurement], [breakdown]), field) == (
        f"{python + 0.16:.0%} of the time of a/x at T = 128 is Python and the dispatcher, "
        "under the profiler (profile 12).",
    )


def test_a_profile_on_cuda_states_the_share_of_launch_gaps():
    measurement = timed_row("a/x", 1e-3, 128, "cuda")
    (sentence,) = waiting_of(
        [measurement], [profile(measurement, 3, gap=0.62, kernel=0.38, python=9.0)]
    ).bound
    assert sentence == "62% of the time of a/x at T = 128 is launch gaps, under the profiler (profile 3)."


@pytest.mark.parametrize("tool", ["proton", "ncu"])
def test_a_tool_that_sums_kernel_times_has_no_sentence_on_gaps(tool):
    measurement = timed_row("a/x", 1e-3, 128, "cuda")
    assert waiting_of([measurement], [replace(profile(measurement, 3, kernel=1.0), tool=tool)]) == Waiting(
        (), ()
    )


def test_a_profile_of_another_case_has_no_sentence():
    measurement, longer = timed_row("a/x", 1e-3, 128), timed_row("a/x", 1e-3, 256)
    assert waiting_of([measurement], [profile(longer, 3, python=1.0)]) == Waiting((), ())


def test_the_report_has_the_sentences_on_rows_and_profiles():
    measurement = timed_row("a/x", 1e-3, 128, cpu_median_s=1.9e-3)
    html = render(
        run_of([measurement]),
        profiles=[AnnotatedProfile(profile(measurement, 12, python=0.4, operator=0.6), (), "")],
    )
    assert "<li>a/x keeps 1.9 of 2 cores busy at T = 128.</li>" in html
    open_part = html.split('<ul class="sentences waiting">')[1].split("</ul>")[0]
    assert "40% of the time of a/x at T = 128 is Python and the dispatcher" in open_part
