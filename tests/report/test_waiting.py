from dataclasses import replace

import pytest
from synthetic import BARE, row, run_of, table

from linbench.analysis import panels
from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Kind, Line, Profile
from linbench.report.page import render
from linbench.report.profiled import AnnotatedProfile
from linbench.report.waiting import Waiting, waiting


def timed(name, median_s, T, device="cpu", **parts):
    one = row(name, median_s, T=T, device=device)
    return replace(one, time=replace(one.time, **parts))


def profile(one, number, **shares):
    lines = tuple(Line("fwd", kind, Kind(kind), 1.0, share, share) for kind, share in shares.items())
    broken = Breakdown(lines, 3, 1.0, 0.9, 0.9, 0.0, 2)
    return Profile(
        one.operator, one.implementation, one.case, "torch", Status.OK, BARE, breakdown=broken, id=number
    )


def said(rows, profiles=()):
    (panel,) = panels(table(rows))
    return waiting(panel, 2, profiles)


def test_on_the_cpu_it_says_how_many_cores_were_busy_from_end_to_end():
    rows = [
        timed("a/x", 1e-3, T, cpu_median_s=1e-3 * busy) for T, busy in ((128, 1.0), (512, 1.5), (4096, 1.94))
    ]
    assert said(rows) == Waiting((), ("a/x keeps 1.0 of 2 cores busy at T = 128, 1.9 at T = 4,096.",))
    assert said(rows[:1]).others == ("a/x keeps 1.0 of 2 cores busy at T = 128.",)


def test_on_cuda_it_says_what_share_is_launch_gaps_and_who_waits_for_the_host():
    rows = [
        timed("a/waits", 1e-3, 128, "cuda", kernels_median_s=3.8e-4),
        timed("a/waits", 1e-3, 4096, "cuda", kernels_median_s=9.6e-4),
        timed("a/works", 1e-3, 4096, "cuda", kernels_median_s=8e-4),
    ]
    assert said(rows) == Waiting(
        ("62% of the time of a/waits at T = 128 is launch gaps, 4% at T = 4,096.",),
        ("20% of the time of a/works at T = 4,096 is launch gaps.",),
    )


def test_rows_that_do_not_tell_and_failures_say_nothing():
    assert said([timed("a/x", 1e-3, 128), row("a/y", status=Status.OOM)]) == Waiting((), ())


@pytest.mark.parametrize(("python", "place"), [(0.25, "bound"), (0.05, "others")])
def test_a_profile_says_what_python_and_the_dispatcher_took(python, place):
    one = timed("a/x", 1e-3, 128)
    taken = profile(one, 12, python=python, dispatcher=0.16, operator=0.84 - python)
    assert getattr(said([one], [taken]), place) == (
        f"{python + 0.16:.0%} of the time of a/x at T = 128 is Python and the dispatcher, "
        "under the profiler (profile 12).",
    )


def test_a_profile_on_cuda_says_what_was_launch_gaps():
    one = timed("a/x", 1e-3, 128, "cuda")
    (sentence,) = said([one], [profile(one, 3, gap=0.62, kernel=0.38, python=9.0)]).bound
    assert sentence == "62% of the time of a/x at T = 128 is launch gaps, under the profiler (profile 3)."


@pytest.mark.parametrize("tool", ["proton", "ncu"])
def test_a_tool_that_adds_up_kernels_says_nothing_of_gaps(tool):
    one = timed("a/x", 1e-3, 128, "cuda")
    assert said([one], [replace(profile(one, 3, kernel=1.0), tool=tool)]) == Waiting((), ())


def test_a_profile_of_another_case_says_nothing():
    one, other = timed("a/x", 1e-3, 128), timed("a/x", 1e-3, 256)
    assert said([one], [profile(other, 3, python=1.0)]) == Waiting((), ())


def test_the_report_has_the_sentences_and_those_of_profiles():
    one = timed("a/x", 1e-3, 128, cpu_median_s=1.9e-3)
    html = render(
        run_of([one]), profiles=[AnnotatedProfile(profile(one, 12, python=0.4, operator=0.6), (), "")]
    )
    assert "<li>a/x keeps 1.9 of 2 cores busy at T = 128.</li>" in html
    open_part = html.split('<ul class="sentences waiting">')[1].split("</ul>")[0]
    assert "40% of the time of a/x at T = 128 is Python and the dispatcher" in open_part
