"""Profiled: the stored profiles of a run's cases, as a section of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from linbench.core.profile import Line, Profile
from linbench.core.run import Run
from linbench.text import format

MOST_LINES: Final = 6
MOST_NAME: Final = 80
MOST_PROFILES: Final = 24
COMMIT_DIGITS: Final = 10


@dataclass(frozen=True)
class AnnotatedProfile:
    """A stored profile, and what is known of it beside.

    Attributes:
        profile: The profile.
        sentences: What its times say, a sentence each.
        trace: Where its trace lies; empty if it is not there.
    """

    profile: Profile
    sentences: tuple[str, ...]
    trace: str


@dataclass(frozen=True)
class Phase:
    """One phase of a call, as texts.

    Attributes:
        name: fwd, bwd, prefill or decode.
        share: Of the time of the call.
        lines: The longest lines: what, kind, calls, time and share; what is left is one line.
    """

    name: str
    share: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One profile in the report, as texts.

    Attributes:
        title: The implementation and the case.
        about: Its number, when it was taken, and whether at the commit of the run.
        phases: Where the time went, phase after phase.
        sentences: What that says.
        trace: Where the trace lies; empty if it is not there.
    """

    title: str
    about: str
    phases: tuple[Phase, ...]
    sentences: tuple[str, ...]
    trace: str


def chosen(run: Run, found: Sequence[Profile]) -> list[Profile]:
    """Return one profile for each implementation and case of a run that has any with times.

    One that was taken at the commit of the run is preferred, and of several the last.

    Args:
        run: The run.
        found: Profiles, the earliest first.
    """

    def is_same(profile: Profile) -> bool:
        ours, its = (one.environment.code_of(profile.implementation) for one in (run, profile))
        return ours is not None and its is not None and ours.commit is not None and its.commit == ours.commit

    timed = [profile for profile in found if profile.breakdown is not None]
    best = {(one.implementation, one.case.id): one for one in sorted(timed, key=is_same)}  # the last of a key
    keys = [(row.implementation, row.case.id) for row in run.measurements]
    return [best[key] for key in dict.fromkeys(keys) if key in best]


def sections(run: Run, profiles: Sequence[AnnotatedProfile]) -> list[Section]:
    """Return the profiles of a run as they stand in its report, at most 24."""
    return [
        Section(
            f"{told.profile.implementation} {told.profile.case}",
            _about(run, told.profile),
            tuple(_phases(told.profile)),
            told.sentences,
            told.trace,
        )
        for told in profiles[:MOST_PROFILES]
    ]


def _about(run: Run, profile: Profile) -> str:
    ours, its = (one.environment.code_of(profile.implementation) for one in (run, profile))
    at = f"profile {profile.id} of {profile.profiled_at}"
    if ours is None or its is None or ours.commit is None or its.commit is None:
        return f"{at}; it is not known whether its code is that of this run"
    short = its.commit[:COMMIT_DIGITS]
    changed = ", with uncommitted changes on one side or both" if ours.dirty or its.dirty else ""
    if ours.commit == its.commit:
        return f"{at}, at the commit of this run, {short}{changed}"
    return f"{at}, at commit {short}, where this run is of {ours.commit[:COMMIT_DIGITS]}{changed}"


def _phases(profile: Profile) -> list[Phase]:
    lines, wall_s = (profile.breakdown.lines, profile.breakdown.wall_s) if profile.breakdown else ((), 0.0)

    def text(name: str, kind: str, calls: float, self_s: float) -> tuple[str, ...]:
        share = f"{self_s / wall_s:.1%}" if wall_s else ""
        return name[:MOST_NAME], kind, format.digits(calls), format.seconds(self_s), share

    def phase(name: str, own: Sequence[Line]) -> Phase:
        shown, rest = own[:MOST_LINES], own[MOST_LINES:]
        texts = [text(line.name, str(line.kind), line.calls, line.self_s) for line in shown]
        if rest:
            calls, self_s = sum(line.calls for line in rest), sum(line.self_s for line in rest)
            texts.append(text(format.plural(len(rest), "further line"), "", calls, self_s))
        total_s = sum(line.self_s for line in own)
        return Phase(name, f"{total_s / wall_s:.0%}" if wall_s else "", tuple(texts))

    ordered = sorted(lines, key=lambda line: line.phase != "fwd")  # stable: bwd after fwd, longest first
    return [phase(name, list(own)) for name, own in groupby(ordered, key=lambda line: line.phase)]
