"""Counters: what ncu reads of a device's performance counters, kernel by kernel, in the CSV that it writes.

The CSV has a line of names, a line of units, and a line a launch; lines of ncu's own start with "==". The
ranges that a launch lies in stand in two columns, as `1:<default domain>:linear/triton fwd:none:...`. Numbers
have commas between their thousands; what the device has no counter for is "n/a".
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.core.profile import COUNTERS, Breakdown, Kind, Line
from linbench.execution import process
from linbench.execution.client import RequestError
from linbench.execution.messages import ProfileCall, ProfileResult
from linbench.profiling.artifact import SUFFIX
from linbench.profiling.phase import phases
from linbench.profiling.single import ask_once
from linbench.profiling.tool import ncu

TIME = "gpu__time_duration.sum"
BYTES = "dram__bytes.sum"
METRICS = {
    "dram": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "tensor": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "occupancy": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "registers": "launch__registers_per_thread",
}
"""ncu's name of each of `COUNTERS`."""

UNITS = {
    **{"": 1.0, "%": 1e-2, "register/thread": 1.0},
    **{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    **{"nsecond": 1e-9, "usecond": 1e-6, "msecond": 1e-3, "second": 1.0},
    **{"byte": 1.0, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9, "Tbyte": 1e12},
}
"""What a unit is in SI units; ncu's prefixes are decimal."""

NAME = "Kernel Name"
RANGES = ("Push/Pop_Range", "Start/Stop_Range")
MISSING = ("", "n/a")
MOST_BYTES = 64 * 2**20
MOST_LAUNCHES = 100_000

_NUMBER = re.compile(r"(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][-+]?\d+)?")
_QUANTIFIER = re.compile(r"([][@,/*+\\])")

PERMISSION = "ERR_NVGPUCTRPERM"


class CannotRead(Exception):
    """What ncu wrote is not of the form that it has; says what is wrong."""


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes:
        phase: In whose range it was launched.
        kernel: Name.
        time_s: That it took, seconds.
        bytes: To and from the device's memory; None if the device does not count them.
        counters: By the names of `COUNTERS`; shares of 1, registers of a thread.
    """

    phase: str
    kernel: str
    time_s: float
    bytes: float | None
    counters: Mapping[str, float]


def ask_counted(launch: process.Launch, request: ProfileCall, timeout_s: float) -> ProfileResult:
    """Return what ncu read of a call that a fresh worker makes under it.

    Raises:
        RequestError: The worker could not make the call, or ncu did not read it.
        EnvironmentRefused: There is no ncu on PATH, or it may not read the counters.
    """
    named = phases(request.implementation, request.case.mode)
    folder = Path(request.folder)
    file = folder / "ncu.csv"
    under = replace(launch, prefix=tuple(command(ncu(), file, list(named))))
    failed: RequestError | EnvironmentRefused | None = None
    try:
        ask_once(under, request, timeout_s)
    except (RequestError, EnvironmentRefused) as error:
        failed = error
    if PERMISSION in _said(file):
        raise EnvironmentRefused(
            f"ncu may not read this GPU's counters ({PERMISSION}): type the same command after "
            '`sudo -E env "PATH=$PATH"`, or have an administrator load the driver with '
            "NVreg_RestrictProfilingToAdminUsers=0 (in a container, --cap-add SYS_ADMIN does it), "
            "or use --tool torch, which needs no permission"
        )
    if failed is not None:
        raise failed
    try:
        launches = list(read(_text(file), named))
        if not launches:
            raise CannotRead("it read no kernel that the call launched")
    except CannotRead as error:
        raise RequestError(Status.ERROR, f"ncu: {error}") from None
    with gzip.open(folder / f"ncu{SUFFIX}", "wt", encoding="utf-8") as kept:
        json.dump([asdict(launch) for launch in launches], kept)
    return ProfileResult(breakdown(launches))


def _said(file: Path) -> str:
    """Return what ncu wrote, or nothing where it cannot be read."""
    try:
        return _text(file)
    except CannotRead:
        return ""


def command(program: str, file: Path, ranges: Sequence[str]) -> list[str]:
    """Return what a command is started under to have its launches counted.

    Args:
        program: ncu.
        file: Where it writes its CSV.
        ranges: Of NVTX; launches in none of them do not count. Quantifiers in a name are escaped.
    """
    words = ["env", "LC_ALL=C.UTF-8", program, "--csv", "--page", "raw", "--print-units", "base"]
    words += ["--log-file", str(file), "--metrics", ",".join((TIME, BYTES, *METRICS.values()))]
    words += ["--clock-control", "none", "--target-processes", "all", "--nvtx"]
    for name in ranges:
        words += ["--nvtx-include", _QUANTIFIER.sub(r"\\\1", name)]
    return words


def read(text: str, phases: Mapping[str, str]) -> Iterator[Launch]:
    """Yield the launches that lie in a range of a phase.

    Args:
        text: What ncu wrote.
        phases: The phase of each range, by name.

    Raises:
        CannotRead: It is not of the form described above, or has more than `MOST_LAUNCHES`.
    """
    lines = text.splitlines()
    said = [line for line in lines if line.startswith("==")]
    rows = csv.reader(line for line in lines if not line.startswith("=="))
    try:
        names = next((row for row in rows if NAME in row), None)
        if names is None or TIME not in names:
            raise CannotRead(f"it read no kernel: {said[-1][:400] if said else 'it said nothing'}")
        units = dict(zip(names, next(rows, []), strict=False))
        for number, row in enumerate(rows):
            if number == MOST_LAUNCHES:
                raise CannotRead(f"it read more than {MOST_LAUNCHES:,} launches; take a shorter T")
            if len(row) != len(names):
                raise CannotRead(f"launch {number} has {len(row)} columns where {len(names)} were due")
            cells = dict(zip(names, row, strict=True))
            phase = _phase(cells, phases)
            if phase is not None:
                yield _launch(cells, units, phase)
    except csv.Error as error:
        raise CannotRead(f"its CSV cannot be read: {error}") from None


def breakdown(launches: Sequence[Launch]) -> Breakdown:
    """Return the launches of a call by kernel: sums, and of the counters means weighted by time.

    The registers of a line are the most that a launch had.
    """
    groups: dict[tuple[str, str], list[Launch]] = {}
    for launch in launches:
        groups.setdefault((launch.phase, launch.kernel), []).append(launch)
    lines = []
    for (phase, kernel), group in groups.items():
        time_s = sum(launch.time_s for launch in group)
        counted = [launch.bytes for launch in group if launch.bytes is not None]
        lines.append(
            Line(
                phase,
                kernel,
                Kind.KERNEL,
                calls=len(group),
                total_s=time_s,
                self_s=time_s,
                bytes=sum(counted) if len(counted) == len(group) else None,
                counters={name: _over(group, name) for name in COUNTERS if _all_have(group, name)},
            )
        )
    lines.sort(key=lambda line: (-line.self_s, line.phase, line.name))
    return Breakdown(tuple(lines), calls=1, wall_s=sum(line.self_s for line in lines))


def _over(group: Sequence[Launch], name: str) -> float:
    values = [launch.counters[name] for launch in group]
    if name == "registers":
        return max(values)
    weights = [launch.time_s for launch in group]
    return sum(w * value for w, value in zip(weights, values, strict=True)) / (sum(weights) or 1.0)


def _all_have(group: Sequence[Launch], name: str) -> bool:
    return all(name in launch.counters for launch in group)


def _phase(cells: Mapping[str, str], phases: Mapping[str, str]) -> str | None:
    """Return the phase of the range that a launch lies in, or None."""
    inside = " ".join(cell for name, cell in cells.items() if any(part in name for part in RANGES))
    return next((phase for name, phase in phases.items() if f":{name}:" in inside), None)


def _launch(cells: Mapping[str, str], units: Mapping[str, str], phase: str) -> Launch:
    found = {name: _value(name, cells.get(name, ""), units.get(name, "")) for name in (TIME, BYTES)}
    time_s = found[TIME]
    if time_s is None:
        raise CannotRead(f"a launch of {cells[NAME][:80]!r} has no {TIME}")
    counters = {}
    for name, metric in METRICS.items():
        value = _value(metric, cells.get(metric, ""), units.get(metric, ""))
        if value is not None:
            counters[name] = value
    return Launch(phase, cells[NAME], time_s, found[BYTES], counters)


def _value(name: str, text: str, unit: str) -> float | None:
    """Return a metric in SI units, or None if the device does not have it."""
    if text in MISSING:
        return None
    if unit not in UNITS:
        raise CannotRead(f"{name} is in {unit[:40]!r}, which is none of {', '.join(filter(None, UNITS))}")
    if not _NUMBER.fullmatch(text):
        raise CannotRead(f"{name} is {text[:40]!r}, which is no number")
    return float(text.replace(",", "")) * UNITS[unit]


def _text(file: Path) -> str:
    """Return what ncu wrote.

    Raises:
        CannotRead: It is larger than `MOST_BYTES`, or is not there.
    """
    try:
        with file.open("rb") as open_file:
            found = open_file.read(MOST_BYTES + 1)
    except OSError:
        raise CannotRead("it wrote nothing") from None
    if len(found) > MOST_BYTES:
        raise CannotRead(f"its CSV is larger than {MOST_BYTES // 2**20} MiB; take a shorter T")
    return found.decode("utf-8", "replace")
