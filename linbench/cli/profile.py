"""linbench profile: say where the time and the memory of a call go, apart from any timing."""

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
COUNTED = ("PHASE", "WHAT", "CALLS", "SELF", "SHARE", "GB/S", *(name.upper() for name in COUNTERS))
COMPARED = ("PHASE", "WHAT", "CALLS", "SELF", "CALLS", "SELF", "DIFFERENCE")
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
    help="torch: where the time goes; memory: what is allocated when; all: both of these. "
    "On CUDA, proton: kernels by Triton's profiler; ncu: what Nsight Compute counts in each.",
)
@options.timeout
@click.option("--all-lines", is_flag=True, help=f"Print every line, not the first {SHOWN_LINES}.")
@click.option(
    "--compare",
    nargs=2,
    metavar="A B",
    help="Line up two stored profiles: their numbers, or implementations for the last of each.",
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
    """Say where the time and the memory of a call go, apart from any timing.

    \b
    linbench profile linear/chunk --T 4k --mode fwd_bwd
    linbench profile --compare linear/chunk linear/native

    IMPLEMENTATION is called under the tool, torch's profiler by default, in a process of its own. What was
    found is stored in the database, the Chrome trace beside it in artifacts/; Perfetto (ui.perfetto.dev)
    opens that.
    """  # noqa: D301 - \b is click's mark for text kept as it is
    from linbench import api
    from linbench.core.codec import encode
    from linbench.core.grid import Grid
    from linbench.core.registry import registry

    if compare is not None:
        if implementation is not None:
            raise UsageError("--compare takes profiles that are stored; leave out IMPLEMENTATION")
        _compare(*compare, db, form)
        return
    if implementation is None:
        raise UsageError("name an implementation, as in `linbench profile linear/chunk --T 4k`")
    try:
        schedule = api.plan_run(Grid("axes"), impl=implementation, device=device, plugins=plugin, axes=axes)
    finally:
        report_broken(registry)
    for found in _profiled(schedule, tool, timeout, db):
        page = _write_page(found, db) if found.memory else None
        if form == "json":
            beside = {"case_id": found.case.id, "page": str(page) if page else None}
            click.echo(json.dumps(encode(found) | beside))
        else:
            for line in _lines(found, db, page, None if all_lines else SHOWN_LINES):
                click.echo(printable(line))


def _profiled(schedule: Schedule, tool: str, timeout_s: float, db: str) -> Iterator[Profile]:
    """Yield the profile of each case as it is stored."""
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


def _lines(found: Profile, db: str, page: Path | None, most: int | None) -> Iterator[str]:
    """Yield a profile as lines; of its breakdown at most so many."""
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.diagnosis import diagnose

    yield f"profile {found.id}: {found.implementation} {found.case}"
    if found.status is not Status.OK:
        yield f"{found.status}: {found.reason}"
        return
    if found.breakdown is not None:
        yield from _table(found.breakdown, most)
        yield from diagnose(found.breakdown, found.tool, found.case.device)
    if found.memory:
        parts = [f"{kind} {format.size(size)}" for kind, size in found.memory.items() if kind != "peak"]
        peak = format.size(found.memory["peak"])
        yield f"At its peak a call holds {peak} above its inputs: {', '.join(parts)}."
        yield f"page: {page}"
    for kind, digest in found.artifacts.items():
        yield f"{kind}: {Artifacts(db).path(digest)}"


def _write_page(found: Profile, db: str) -> Path:
    """Draw the allocations of a profile, and return the file."""
    from linbench.core.codec import decode
    from linbench.profiling.artifact import Artifacts
    from linbench.profiling.timeline import Timeline
    from linbench.report.memory_page import render

    kept = json.loads(gzip.decompress(Artifacts(db).read(found.artifacts["memory"])))
    path = Path("reports") / f"profile-{found.id}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(found, decode(Timeline, kept)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _table(found: Breakdown, most: int | None) -> list[str]:
    """Return the lines of a breakdown; what ncu counted has columns of its own."""
    counted = any(line.counters for line in found.lines)
    header, cells = (COUNTED, _counted) if counted else (HEADER, _cells)
    shown = found.lines[:most]
    rows = [cells(line, f"{line.self_s / found.wall_s:.1%}") for line in shown]
    rest = found.lines[len(shown) :]
    if rest:
        rest_s = sum(line.self_s for line in rest)
        told = {"WHAT": format.plural(len(rest), "further line"), "SELF": format.seconds(rest_s)}
        told["SHARE"] = f"{rest_s / found.wall_s:.1%}"
        rows.append([told.get(name, "") for name in header])
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


def _counted(line: Line, share: str) -> list[str]:
    shown = {name: f"{value:.0%}" for name, value in line.counters.items()}
    if "registers" in line.counters:
        shown["registers"] = f"{line.counters['registers']:.0f}"
    calls, self_s = format.digits(line.calls), format.seconds(line.self_s)
    first = [line.phase, line.name[:SHOWN_NAME], calls, self_s, share, _rate(line.bytes, line)]
    return [*first, *(shown.get(name, "") for name in COUNTERS)]


def _rate(amount: float | None, line: Line) -> str:
    """Return an amount in 10^9 a second of a line's own time."""
    return format.digits(amount / line.self_s * 1e-9) if amount and line.self_s else ""


def _compare(one: str, other: str, db: str, form: str) -> None:
    """Print two stored profiles line by line."""
    from dataclasses import asdict

    from linbench.profiling.diagnosis import align
    from linbench.store.profiles import Profiles

    store = Profiles(db)
    found = [store.find(name) for name in (one, other)]
    breakdowns = [_breakdown(profile) for profile in found]
    pairs = align(*breakdowns)
    if form == "json":
        for pair in pairs:
            click.echo(json.dumps(asdict(pair) | {"difference_s": pair.difference_s}))
        return
    for letter, profile, breakdown in zip("AB", found, breakdowns, strict=True):
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
    for line in columns(COMPARED, rows):
        click.echo(line)


def _breakdown(profile: Profile) -> Breakdown:
    if profile.breakdown is None:
        why = profile.reason or "it was taken with --tool memory"
        raise UsageError(f"profile {profile.id} of {profile.implementation} has no times: {why}")
    return profile.breakdown
