"""Counters: a device's performance counters, kernel by kernel, from the CSV that ncu writes.

The CSV has one line of names, one line of units, and one line per launch; ncu's messages start with "==". Two
columns hold the ranges that contain a launch, as `1:<default domain>:linear/triton fwd:none:...`. Numbers
have thousands separators; a metric that the device does not count is "n/a".
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
"""ncu's names of `COUNTERS`."""

UNITS = {
    **{"": 1.0, "%": 1e-2, "register/thread": 1.0},
    **{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    **{"nsecond": 1e-9, "usecond": 1e-6, "msecond": 1e-3, "second": 1.0},
    **{"byte": 1.0, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9, "Tbyte": 1e12},
}
"""Factors from ncu's units to SI units; ncu's prefixes are decimal."""

NAME = "Kernel Name"
RANGES = ("Push/Pop_Range", "Start/Stop_Range")
MISSING = ("", "n/a")
MOST_BYTES = 64 * 2**20
MOST_LAUNCHES = 100_000

_NUMBER = re.compile(r"(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][-+]?\d+)?")
_QUANTIFIER = re.compile(r"([][@,/*+\\])")

PERMISSION = "ERR_NVGPUCTRPERM"


class InvalidOutput(Exception):
    """The output of ncu does not have the expected format; the message says what is wrong."""


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes:
        phase: The phase in whose range it was launched.
        kernel: Name of the kernel.
        time_s: Duration, seconds.
        bytes: Bytes read from and written to the device's memory; None if the device does not count them.
        counters: Values by the names of `COUNTERS`: shares of 1, and registers per thread.
    """

    phase: str
    kernel: str
    time_s: float
    bytes: float | None
    counters: Mapping[str, float]


def profile_under_ncu(launch: process.Launch, request: ProfileCall, timeout_s: float) -> ProfileResult:
    """Return the counters of a call that a fresh worker makes under ncu.

    Raises:
        RequestError: The worker could not make the call, or ncu recorded no kernel of it.
        EnvironmentRefused: There is no ncu on PATH, or it has no permission to read the counters.
    """
    phase_of = phases(request.implementation, request.case.mode)
    folder = Path(request.folder)
    file = folder / "ncu.csv"
    under = replace(launch, prefix=tuple(command(ncu(), file, list(phase_of))))
    failed: RequestError | EnvironmentRefused | None = None
    try:
        ask_once(under, request, timeout_s)
    except (RequestError, EnvironmentRefused) as error:
        failed = error
    if PERMISSION in _output(file):
        raise EnvironmentRefused(
            f"ncu has no permission to read this GPU's counters ({PERMISSION}): run the same command after "
            '`sudo -E env "PATH=$PATH"`, or have an administrator load the driver with '
            "NVreg_RestrictProfilingToAdminUsers=0 (in a container, start it with --cap-add SYS_ADMIN), "
            "or use --tool torch, which needs no permission"
        )
    if failed is not None:
        raise failed
    try:
        launches = list(read_launches(_text(file), phase_of))
        if not launches:
            raise InvalidOutput("it recorded no kernel of the call")
    except InvalidOutput as error:
        raise RequestError(Status.ERROR, f"ncu: {error}") from None
    with gzip.open(folder / f"ncu{SUFFIX}", "wt", encoding="utf-8") as artifact:
        json.dump([asdict(launch) for launch in launches], artifact)
    return ProfileResult(breakdown(launches))


def _output(file: Path) -> str:
    """Return the output of ncu, or an empty text if it cannot be read."""
    try:
        return _text(file)
    except InvalidOutput:
        return ""


def command(program: str, file: Path, ranges: Sequence[str]) -> list[str]:
    """Return the command prefix that counts the launches of the command that follows it.

    Args:
        program: Path of ncu.
        file: File that ncu writes its CSV to.
        ranges: NVTX ranges; launches outside all of them are not counted. Quantifiers in a name are escaped.
    """
    arguments = ["env", "LC_ALL=C.UTF-8", program, "--csv", "--page", "raw", "--print-units", "base"]
    arguments += ["--log-file", str(file), "--metrics", ",".join((TIME, BYTES, *METRICS.values()))]
    arguments += ["--clock-control", "none", "--target-processes", "all", "--nvtx"]
    for name in ranges:
        arguments += ["--nvtx-include", _QUANTIFIER.sub(r"\\\1", name)]
    return arguments


def read_launches(text: str, phases: Mapping[str, str]) -> Iterator[Launch]:
    """Yield the launches inside the range of a phase.

    Args:
        text: The output of ncu.
        phases: The phase of each range, by name.

    Raises:
        InvalidOutput: The text does not have the format described above, or has more than `MOST_LAUNCHES`.
    """
    lines = text.splitlines()
    messages = [line for line in lines if line.startswith("==")]
    rows = csv.reader(line for line in lines if not line.startswith("=="))
    try:
        names = next((row for row in rows if NAME in row), None)
        if names is None or TIME not in names:
            reason = messages[-1][:400] if messages else "it wrote no message"
            raise InvalidOutput(f"it recorded no kernel: {reason}")
        units = dict(zip(names, next(rows, []), strict=False))
        for number, row in enumerate(rows):
            if number == MOST_LAUNCHES:
                raise InvalidOutput(f"it recorded more than {MOST_LAUNCHES:,} launches; use a shorter T")
            if len(row) != len(names):
                raise InvalidOutput(f"launch {number} has {len(row)} columns, expected {len(names)}")
            cells = dict(zip(names, row, strict=True))
            phase = _phase(cells, phases)
            if phase is not None:
                yield _launch(cells, units, phase)
    except csv.Error as error:
        raise InvalidOutput(f"its CSV cannot be read: {error}") from None


def breakdown(launches: Sequence[Launch]) -> Breakdown:
    """Return the launches of a call by kernel: sums of times and bytes, time-weighted means of counters.

    The registers of a line are the maximum over its launches.
    """
    groups: dict[tuple[str, str], list[Launch]] = {}
    for launch in launches:
        groups.setdefault((launch.phase, launch.kernel), []).append(launch)
    lines = []
    for (phase, kernel), group in groups.items():
        time_s = sum(launch.time_s for launch in group)
        sizes = [launch.bytes for launch in group if launch.bytes is not None]
        lines.append(
            Line(
                phase,
                kernel,
                Kind.KERNEL,
                calls=len(group),
                total_s=time_s,
                self_s=time_s,
                bytes=sum(sizes) if len(sizes) == len(group) else None,
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
    """Return the phase of the range that contains a launch, or None."""
    inside = " ".join(cell for name, cell in cells.items() if any(part in name for part in RANGES))
    return next((phase for name, phase in phases.items() if f":{name}:" in inside), None)


def _launch(cells: Mapping[str, str], units: Mapping[str, str], phase: str) -> Launch:
    sums = {name: _value(name, cells.get(name, ""), units.get(name, "")) for name in (TIME, BYTES)}
    time_s = sums[TIME]
    if time_s is None:
        raise InvalidOutput(f"a launch of {cells[NAME][:80]!r} has no {TIME}")
    counters = {}
    for name, metric in METRICS.items():
        value = _value(metric, cells.get(metric, ""), units.get(metric, ""))
        if value is not None:
            counters[name] = value
    return Launch(phase, cells[NAME], time_s, sums[BYTES], counters)


def _value(name: str, text: str, unit: str) -> float | None:
    """Return a metric in SI units, or None if the device does not count it."""
    if text in MISSING:
        return None
    if unit not in UNITS:
        allowed = ", ".join(filter(None, UNITS))
        raise InvalidOutput(f"{name} is in {unit[:40]!r}, which is not one of {allowed}")
    if not _NUMBER.fullmatch(text):
        raise InvalidOutput(f"{name} is {text[:40]!r}, which is not a number")
    return float(text.replace(",", "")) * UNITS[unit]


def _text(file: Path) -> str:
    """Return the output of ncu.

    Raises:
        InvalidOutput: The file is larger than `MOST_BYTES`, or is missing.
    """
    try:
        with file.open("rb") as open_file:
            contents = open_file.read(MOST_BYTES + 1)
    except OSError:
        raise InvalidOutput("it wrote nothing") from None
    if len(contents) > MOST_BYTES:
        raise InvalidOutput(f"its CSV is larger than {MOST_BYTES // 2**20} MiB; use a shorter T")
    return contents.decode("utf-8", "replace")
