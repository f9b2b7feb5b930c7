"""linbench profile: profile the time and the memory of a call, separately from any timing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linbench.cli import options, types
from linbench.cli.text import columns, report_broken
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.core.profile import COUNTERS, TOOLS, Breakdown, Line, Profile
from linbench.text import format
from linbench.text.terminal import printable

if TYPE_CHECKING:
    from linbench.core.grid import Axes
    from linbench.execution.schedule import Schedule

HEADER = ("PHASE", "WHAT", "KIND", "CALLS", "SELF", "SHARE", "TOTAL", "GFLOP/S", "GB/S")
COUNTER_HEADER = ("PHASE", "WHAT", "CALLS", "SELF", "SHARE", "GB/S", *(name.upper() for name in COUNTERS))
COMPARISON_HEADER = ("PHASE", "WHAT", "CALLS", "SELF", "CALLS", "SELF", "DIFFERENCE")
SHOWN_LINES = 20
SHOWN_NAME = 60


@click.command(context_settings=options.SETTINGS)
@click.argument("implementation", required=False)
@options.axes
@options.device
@click.option(
    "--tool",
    type=types.one_of(TOOLS),
    metavar="|".join(TOOLS),
    default="torch",
    show_default=True,
    help="The profiler. torch: the time of each operator and kernel; memory: allocations over time; "
    "all: torch and memory. On CUDA also proton: kernels by Triton's profiler; "
    "ncu: counters of each kernel by Nsight Compute.",
)
@options.timeout
@click.option("--all-lines", is_flag=True, help=f"Print every line, not only the first {SHOWN_LINES}.")
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Compare two stored profiles line by line; A and B are numbers of profiles, or implementations "
    "for the latest profile of each.",
)
@options.plugin
@options.db
@options.output_format("json")
def command(
    implementation: str | None,
    axes: Axes,
    device: str | None,
    tool: str,
    timeout: float,
    all_lines: bool,
    compare: tuple[str, str] | None,
    plugin: tuple[str, ...],
    db: str,
    form: str,
) -> None:
    """Profile the time and the memory of a call, separately from any timing.

    \b
    linbench profile linear/chunk --T 4k --mode fwd_bwd
    linbench profile --compare linear/chunk linear/native

    IMPLEMENTATION is called under the profiler in a fresh process. The profile is stored in the database, and
    its Chrome trace in artifacts/ next to the database; Perfetto (ui.perfetto.dev) opens the trace.
    """  # noqa: D301 - click does not wrap the paragraph after \b
    from linbench import api
    from linbench.core.codec import encode
    from linbench.core.grid import Grid
    from linbench.core.registry import registry

    if compare is not None:
        if implementation is not None:
            raise UsageError("--compare compares stored profiles; leave out IMPLEMENTATION")
        _compare(*compare, db, form)
        return
    if implementation is None:
        raise UsageError("name an implementation, as in `linbench profile linear/chunk --T 4k`")
    try:
        schedule = api.plan_run(Grid("axes"), impl=implementation, device=device, plugins=plugin, axes=axes)
    finally:
        report_broken(registry)
    for stored_profile in _profile(schedule, tool, timeout, db):
        page = _write_page(stored_profile, db) if stored_profile.memory else None
        if form == "json":
            extra = {"case_id": stored_profile.case.id, "page": str(page) if page else None}
            click.echo(json.dumps(encode(stored_profile) | extra))
        else:
            for line in _lines(stored_profile, db, page, None if all_lines else SHOWN_LINES):
                click.echo(printable(line))


def _profile(schedule: Schedule, tool: str, timeout_s: float, db: str) -> Iterator[Profile]:
    """Profile each case, store the profile and yield it."""
    from linbench import api
    from linbench.core.registry import registry
    from linbench.execution.lock import exclusive
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.session import profile
    from linbench.profiling.tool import check_tool
    from linbench.store.profiles import Profiles

    uuids = api.check_device(schedule.plan.device)
    check_tool(tool, schedule.plan.device)
    with exclusive(uuids):
        store, artifacts = Profiles(db, write=True), Artifacts(db)
        for job in schedule.jobs:
            yield store.add(
                profile(
                    registry,
                    job,
                    tool,
                    plugins=schedule.plan.plugins,
                    timeout_s=timeout_s,
                    artifacts=artifacts,
                )
            )


def _lines(profile: Profile, db: str, page: Path | None, limit: int | None) -> Iterator[str]:
    """Yield the lines of a profile; at most `limit` lines of its breakdown."""
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.diagnosis import diagnose

    yield f"profile {profile.id}: {profile.implementation} {profile.case}"
    if profile.status is not Status.OK:
        yield f"{profile.status}: {profile.reason}"
        return
    if profile.breakdown is not None:
        yield from _table(profile.breakdown, limit)
        yield from diagnose(profile.breakdown, profile.tool, profile.case.device)
    if profile.memory:
        parts = [f"{kind} {format.size(size)}" for kind, size in profile.memory.items() if kind != "peak"]
        peak = format.size(profile.memory["peak"])
        yield f"At its peak a call holds {peak} above its inputs: {', '.join(parts)}."
        yield f"page: {page}"
    for kind, digest in profile.artifacts.items():
        yield f"{kind}: {Artifacts(db).path(digest)}"


def _write_page(profile: Profile, db: str) -> Path:
    """Write the page that shows the allocations of a profile, and return its path."""
    from linbench.core.codec import decode
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.timeline import Timeline
    from linbench.report.memory_page import render

    record = json.loads(gzip.decompress(Artifacts(db).read(profile.artifacts["memory"])))
    path = Path("reports") / f"profile-{profile.id}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(profile, decode(Timeline, record)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _table(breakdown: Breakdown, limit: int | None) -> list[str]:
    """Return the table of a breakdown as lines; counters of ncu have their own columns."""
    has_counters = any(line.counters for line in breakdown.lines)
    header, cells = (COUNTER_HEADER, _counter_cells) if has_counters else (HEADER, _cells)
    first = breakdown.lines[:limit]
    rows = [cells(line, f"{line.self_s / breakdown.wall_s:.1%}") for line in first]
    rest = breakdown.lines[len(first) :]
    if rest:
        rest_s = sum(line.self_s for line in rest)
        texts = {"WHAT": format.plural(len(rest), "further line"), "SELF": format.seconds(rest_s)}
        texts["SHARE"] = f"{rest_s / breakdown.wall_s:.1%}"
        rows.append([texts.get(name, "") for name in header])
    return columns(header, rows)


def _cells(line: Line, share: str) -> list[str]:
    return [
        line.phase,
        line.name[:SHOWN_NAME],
        str(line.kind),
        format.digits(line.calls),
        format.seconds(line.self_s),
        share,
        format.seconds(line.total_s),
        _rate(line.flops, line),
        _rate(line.bytes, line),
    ]


def _counter_cells(line: Line, share: str) -> list[str]:
    texts = {name: f"{value:.0%}" for name, value in line.counters.items()}
    if "registers" in line.counters:
        texts["registers"] = f"{line.counters['registers']:.0f}"
    calls, self_s = format.digits(line.calls), format.seconds(line.self_s)
    first = [line.phase, line.name[:SHOWN_NAME], calls, self_s, share, _rate(line.bytes, line)]
    return [*first, *(texts.get(name, "") for name in COUNTERS)]


def _rate(amount: float | None, line: Line) -> str:
    """Return an amount per second of a line's own time, in units of 10^9."""
    return format.digits(amount / line.self_s * 1e-9) if amount and line.self_s else ""


def _compare(a: str, b: str, db: str, form: str) -> None:
    """Compare two stored profiles and print the comparison line by line."""
    from dataclasses import asdict

    from linbench.profiling.diagnosis import align
    from linbench.store.profiles import Profiles

    store = Profiles(db)
    profiles = [store.find(name) for name in (a, b)]
    breakdowns = [_breakdown(profile) for profile in profiles]
    pairs = align(*breakdowns)
    if form == "json":
        for pair in pairs:
            click.echo(json.dumps(asdict(pair) | {"difference_s": pair.difference_s}))
        return
    for letter, profile, breakdown in zip("AB", profiles, breakdowns, strict=True):
        wall = format.seconds(breakdown.wall_s)
        click.echo(
            printable(f"{letter}: profile {profile.id}: {profile.implementation} {profile.case}  {wall}")
        )
    rows = []
    for pair in pairs:
        sides = (
            (format.digits(line.calls), format.seconds(line.self_s)) if line else ("", "")
            for line in (pair.one, pair.other)
        )
        sign = "+" if pair.difference_s > 0 else ""
        cells = [cell for side in sides for cell in side]
        rows.append([pair.phase, pair.name[:SHOWN_NAME], *cells, sign + format.seconds(pair.difference_s)])
    for line in columns(COMPARISON_HEADER, rows):
        click.echo(line)


def _breakdown(profile: Profile) -> Breakdown:
    if profile.breakdown is None:
        reason = profile.reason or "it was made with --tool memory"
        raise UsageError(f"profile {profile.id} of {profile.implementation} has no times: {reason}")
    return profile.breakdown
