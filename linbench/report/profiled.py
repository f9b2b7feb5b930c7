"""Profiled: the stored profiles of a run's cases, as a section of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from linbench.core.profile import Line, Profile
from linbench.core.provenance import Code
from linbench.core.run import Run
from linbench.text import format

MOST_LINES: Final = 6
MOST_NAME: Final = 80
MOST_PROFILES: Final = 24
COMMIT_DIGITS: Final = 10


@dataclass(frozen=True)
class AnnotatedProfile:
    """A stored profile with its diagnosis and its trace.

    Attributes:
        profile: The profile.
        sentences: The diagnosis of its times, one sentence each.
        trace: The path of its trace; empty if there is none.
    """

    profile: Profile
    sentences: tuple[str, ...]
    trace: str


@dataclass(frozen=True)
class Phase:
    """One phase of a call, as texts.

    Attributes:
        name: fwd, bwd, prefill or decode.
        share: The share of the time of the call.
        lines: The longest lines, each with name, kind, calls, self time and share; the rest is one line.
    """

    name: str
    share: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One profile in the report, as texts.

    Attributes:
        title: The implementation and the case.
        about: The number of the profile, its date, and its commit relative to that of the run.
        phases: The breakdown of the time, by phase.
        sentences: The diagnosis.
        trace: The path of the trace; empty if there is none.
    """

    title: str
    about: str
    phases: tuple[Phase, ...]
    sentences: tuple[str, ...]
    trace: str


def select_profiles(run: Run, profiles: Sequence[Profile]) -> list[Profile]:
    """Return one profile with times for each implementation and case of a run, where there is any.

    Profiles at the commit of the run are preferred, and among them the last.

    Args:
        run: The run.
        profiles: Profiles, the earliest first.
    """

    def has_same_commit(profile: Profile) -> bool:
        of_run, of_profile = _codes(run, profile)
        if of_run is None or of_profile is None or of_run.commit is None:
            return False
        return of_profile.commit == of_run.commit

    candidates = sorted(
        (profile for profile in profiles if profile.breakdown is not None), key=has_same_commit
    )
    best = {(profile.implementation, profile.case.id): profile for profile in candidates}  # the last of a key
    keys = [(row.implementation, row.case.id) for row in run.measurements]
    return [best[key] for key in dict.fromkeys(keys) if key in best]


def sections(run: Run, profiles: Sequence[AnnotatedProfile]) -> list[Section]:
    """Return the sections of the profiles of a run, at most 24."""
    return [
        Section(
            f"{annotated.profile.implementation} {annotated.profile.case}",
            _about(run, annotated.profile),
            tuple(_phases(annotated.profile)),
            annotated.sentences,
            annotated.trace,
        )
        for annotated in profiles[:MOST_PROFILES]
    ]


def _codes(run: Run, profile: Profile) -> tuple[Code | None, Code | None]:
    """Return the code of a profile's implementation in the run and in the profile."""
    name = profile.implementation
    return run.environment.code_of(name), profile.environment.code_of(name)


def _about(run: Run, profile: Profile) -> str:
    of_run, of_profile = _codes(run, profile)
    at = f"profile {profile.id} of {profile.profiled_at}"
    if of_run is None or of_profile is None or of_run.commit is None or of_profile.commit is None:
        return f"{at}; it is unknown whether it measured the code of this run"
    short = of_profile.commit[:COMMIT_DIGITS]
    changed = ", with uncommitted changes on one side or both" if of_run.dirty or of_profile.dirty else ""
    if of_run.commit == of_profile.commit:
        return f"{at}, at the commit of this run ({short}){changed}"
    return f"{at}, at commit {short}, but this run is at {of_run.commit[:COMMIT_DIGITS]}{changed}"


def _phases(profile: Profile) -> list[Phase]:
    lines, wall_s = (profile.breakdown.lines, profile.breakdown.wall_s) if profile.breakdown else ((), 0.0)

    def text(name: str, kind: str, calls: float, self_s: float) -> tuple[str, ...]:
        share = f"{self_s / wall_s:.1%}" if wall_s else ""
        return name[:MOST_NAME], kind, format.digits(calls), format.seconds(self_s), share

    def phase(name: str, lines_of_phase: Sequence[Line]) -> Phase:
        longest, rest = lines_of_phase[:MOST_LINES], lines_of_phase[MOST_LINES:]
        texts = [text(line.name, str(line.kind), line.calls, line.self_s) for line in longest]
        if rest:
            calls, self_s = sum(line.calls for line in rest), sum(line.self_s for line in rest)
            texts.append(text(format.plural(len(rest), "further line"), "", calls, self_s))
        total_s = sum(line.self_s for line in lines_of_phase)
        return Phase(name, f"{total_s / wall_s:.0%}" if wall_s else "", tuple(texts))

    ordered = sorted(lines, key=lambda line: line.phase != "fwd")  # stable: bwd after fwd, longest first
    return [phase(name, list(group)) for name, group in groupby(ordered, key=lambda line: line.phase)]
