from dataclasses import replace

import pytest
from embedding import dense
from synthetic import BARE, COMMIT, code, row, run_of

from linbench.cli.report import write_report
from linbench.core.measurement import Status
from linbench.core.profile import Breakdown, Kind, Line, Profile
from linbench.profiling.artifact import Artifacts
from linbench.report.page import render
from linbench.report.profiled import AnnotatedProfile, sections, select_profiles
from linbench.store.profiles import Profiles
from linbench.store.store import Store

ROW = row("a/x", mode="fwd_bwd")


def at(commit, dirty=False):
    return replace(BARE, code=(code("a/x", "a/y", commit=commit, dirty=dirty),) if commit else ())


RUN = run_of([ROW, row("a/y")], environment=at(COMMIT))


def profile(number, commit=COMMIT, measurement=ROW, lines=(), dirty=False):
    breakdown = Breakdown(tuple(lines), 3, 1e-3, 9e-4, 9e-4, 0.0, 2)
    return Profile(
        measurement.operator, measurement.implementation, measurement.case, "torch", Status.OK,
        breakdown=breakdown, environment=at(commit, dirty), id=number,
        profiled_at="2026-11-22T15:00:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("commits", "number"),
    [
        ((COMMIT, COMMIT), 2),
        ((COMMIT, "else"), 1),
        (("else", "other"), 2),
        (("else", COMMIT, "other", None), 2),
        ((None, None), 2),
    ],
)
def test_the_last_profile_at_the_commit_of_the_run_is_preferred(commits, number):
    candidates = [profile(number, commit) for number, commit in enumerate(commits, 1)]
    assert [profile.id for profile in select_profiles(RUN, candidates)] == [number]


def test_without_a_commit_of_the_run_the_last_profile_is_selected():
    run = run_of([ROW], environment=BARE)
    assert [profile.id for profile in select_profiles(run, [profile(1), profile(2, None), profile(3)])] == [3]


def test_one_profile_is_selected_for_each_implementation_and_case_of_the_run():
    other_row, row_of_another_run = row("a/y"), row("b/z")
    untimed = replace(profile(4, measurement=other_row), breakdown=None)
    candidates = [
        profile(1, measurement=other_row),
        profile(2, measurement=row_of_another_run),
        profile(3),
        untimed,
    ]
    assert [profile.id for profile in select_profiles(RUN, candidates)] == [3, 1]


LINES = [
    Line("bwd", "aten::bmm", Kind.OPERATOR, 4.0, 5e-4, 5e-4),
    Line("fwd", "aten::add", Kind.OPERATOR, 2.0, 2e-4, 2e-4),
    *(Line("fwd", f"small::{number}", Kind.DISPATCHER, 1.0, 2e-5, 2e-5) for number in range(9)),
]


def test_lines_are_grouped_by_phase_and_short_ones_are_merged():
    (section,) = sections(
        RUN, [AnnotatedProfile(profile(7, lines=LINES), ("A sentence.",), "results/artifacts/x")]
    )
    assert [(phase.name, phase.share) for phase in section.phases] == [("fwd", "38%"), ("bwd", "50%")]
    fwd = section.phases[0].lines
    assert fwd[0] == ("aten::add", "operator", "2.00", "200 µs", "20.0%")
    assert len(fwd) == 7
    assert fwd[-1] == ("4 further lines", "", "4.00", "80.0 µs", "8.0%")
    assert section.title == f"a/x {ROW.case}"


@pytest.mark.parametrize(
    ("commit", "dirty", "about"),
    [
        (COMMIT, False, ", at the commit of this run (0123456789)"),
        ("fedcba9876543210", False, ", at commit fedcba9876, but this run is at 0123456789"),
        (
            COMMIT,
            True,
            ", at the commit of this run (0123456789), with uncommitted changes on one side or both",
        ),
        (None, False, "; it is unknown whether it measured the code of this run"),
    ],
)
def test_a_section_states_the_commit_of_its_profile(commit, dirty, about):
    (section,) = sections(RUN, [AnnotatedProfile(profile(7, commit, dirty=dirty), (), "")])
    assert section.about == f"profile 7 of 2026-11-22T15:00:00+00:00{about}"


def test_the_report_has_the_profiles_and_the_paths_of_traces():
    hostile = [Line("fwd", "<script>x</script>", Kind.FOREIGN, 1.0, 4e-4, 4e-4)]
    hostile_profile = profile(7, lines=[*hostile, *LINES])
    annotated = AnnotatedProfile(
        hostile_profile, ("0% of this time is Python.",), "results/artifacts/ab.json.gz"
    )
    html = render(RUN, profiles=[annotated])
    assert html.count('<details class="verdict profile"') == 1
    assert "<code>results/artifacts/ab.json.gz</code>" in html
    assert "<li>0% of this time is Python.</li>" in html
    assert "&lt;script&gt;x&lt;/script&gt;" in html
    assert '<th scope="rowgroup" rowspan="1">bwd, 50%</th><td class="name">aten::bmm</td>' in dense(html)
    assert 'href="#profiles"' in html
    without = render(RUN)
    assert 'id="profiles"' not in without
    assert 'href="#profiles"' not in without


def test_the_command_adds_stored_profiles_and_traces_to_the_report(tmp_path):
    db = str(tmp_path / "results" / "x.db")
    store, profiles = Store(db, write=True), Profiles(db, write=True)
    store.add(RUN)
    (tmp_path / "trace.json.gz").write_bytes(b"a trace")
    digest = Artifacts(db).save(tmp_path / "trace.json.gz")
    profiles.add(replace(profile(0, lines=LINES), artifacts={"trace": digest}))
    profiles.add(replace(profile(0, "else", lines=LINES), artifacts={"trace": "missing"}))
    page = write_report(RUN, str(tmp_path / "x.html"), None, db).read_text(encoding="utf-8")
    assert "profile 1 of 2026-11-22T15:00:00+00:00, at the commit of this run" in page
    assert "profile 2 of" not in page
    assert f"<code>{Artifacts(db).path(digest)}</code>" in page
    assert "The lines account for" in page
    Artifacts(db).path(digest).unlink()
    page = write_report(RUN, str(tmp_path / "x.html"), None, db).read_text(encoding="utf-8")
    assert "profile 1 of" in page
    assert digest not in page
