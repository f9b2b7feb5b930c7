"""Roofline: a machine's ceilings as lines, and each row as a point under them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from linbench.analysis.speed_of_light import speed_of_light
from linbench.core.measurement import Measurement
from linbench.core.roof import Level, Roof, Roofs, roofs_of
from linbench.core.run import Run
from linbench.report.values import DisplayValue, Numbers, Values, columns, rounded, untimed, without_interval
from linbench.text import format

REACH: Final = 1e6
"""The factor by which a roof extends beyond the ridge points: to the edge of any figure."""


@dataclass(frozen=True)
class RoofLine:
    """The roof of one level of the memory hierarchy.

    Attributes:
        name: The name of the level, such as L2 or memory.
        text: The rates of the roof as text.
        x: Arithmetic intensities in FLOP/B: far left, the ridge point, and far right.
        y: The roof at these intensities, in FLOP/s.
    """

    name: str
    text: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


@dataclass(frozen=True)
class Points:
    """Each row under the roofs, in columns.

    Attributes:
        values: Useful operations per second, with the share of the speed of light as text.
        intensity: Useful operations per byte.
        algorithmic: Operations of the algorithm per second; None if it declares none.
        algorithmic_intensity: Operations of the algorithm per byte.
        share_text: The share of the speed of light, such as 50.0% [45.5, 55.6] compute; empty if unknown.
        useful_text: Useful operations per second, as text.
        algorithmic_text: Operations of the algorithm per second, as text.
        bytes_text: The fewest bytes per second, as text.
        intensity_text: Useful operations per byte, as text.
        fewest_text: The fewest bytes, as text.
    """

    values: Values
    intensity: Numbers
    algorithmic: Numbers
    algorithmic_intensity: Numbers
    share_text: tuple[str, ...]
    useful_text: tuple[str, ...]
    algorithmic_text: tuple[str, ...]
    bytes_text: tuple[str, ...]
    intensity_text: tuple[str, ...]
    fewest_text: tuple[str, ...]


def roofs_of_run(run: Run) -> Roofs:
    """Return the roofs of the run's timed rows with an amount of work; none without measured ceilings."""
    roofs = roofs_of(run.environment.ceilings.entries)
    kinds = {(row.case.device, row.case.dtype) for row in run.measurements if row.time and row.work}
    return {kind: roof for kind, roof in roofs.items() if kind in kinds}


def unmeasured(run: Run) -> str:
    """Return a device of timed rows without measured ceilings; empty if there is none."""
    roofs = roofs_of(run.environment.ceilings.entries)
    timed_cases = (row.case for row in run.measurements if row.time)
    return next((case.device for case in timed_cases if (case.device, case.dtype) not in roofs), "")


def roof_lines(roof: Roof) -> tuple[RoofLine, ...]:
    """Return the roof of each level: bound by the level's bandwidth, then by compute."""
    ridges = [roof.flops_per_s / level.bytes_per_s for level in roof.levels]
    least, most = min(ridges) / REACH, max(ridges) * REACH
    return tuple(_line(roof, level, least, most) for level in roof.levels)


def _line(roof: Roof, level: Level, least: float, most: float) -> RoofLine:
    flops = roof.flops_per_s
    rates = format.rate(level.bytes_per_s, "B/s"), format.rate(flops, "FLOP/s")
    return RoofLine(
        level.name,
        f"{level.name}: {rates[0]}, bound by {rates[1]} beyond the ridge point",
        (least, flops / level.bytes_per_s, most),
        (least * level.bytes_per_s, flops, flops),
    )


def points(rows: tuple[Measurement, ...], table: pd.DataFrame) -> Points:
    """Return each row as a point under the roofs.

    Args:
        rows: The rows.
        table: The rows as a frame.
    """
    rated = table.join(speed_of_light(table))
    share_columns = rated[["share", "share_low", "share_high", "limit"]]
    shares = [_share_text(*values) for values in share_columns.itertuples(False)]
    useful, algorithmic, byte_rates = (
        list(rated[name].astype("float64"))
        for name in ("useful_flops_per_s", "algorithmic_flops_per_s", "bytes_per_s")
    )
    fewest = list(rated["fewest_bytes"].astype("Float64").to_numpy("float64", na_value=math.nan))
    intensity = [_divide(*rates) for rates in zip(useful, byte_rates, strict=True)]
    return Points(
        values=columns(map(_point, rows, useful, shares)),
        intensity=tuple(map(rounded, intensity)),
        algorithmic=tuple(rounded(rate) if rate > 0 else None for rate in algorithmic),
        algorithmic_intensity=tuple(
            rounded(_divide(rate, byte_rate)) if rate > 0 else None
            for rate, byte_rate in zip(algorithmic, byte_rates, strict=True)
        ),
        share_text=tuple(shares),
        useful_text=tuple(_text(rate, "FLOP/s") for rate in useful),
        algorithmic_text=tuple(_text(rate, "FLOP/s", "not declared") for rate in algorithmic),
        bytes_text=tuple(_text(rate, "B/s") for rate in byte_rates),
        intensity_text=tuple("" if math.isnan(value) else format.digits(value) for value in intensity),
        fewest_text=tuple("" if math.isnan(size) else format.size(size) for size in fewest),
    )


def _share_text(share: float, low: float, high: float, limit: str) -> str:
    return "" if math.isnan(share) else f"{format.share_interval(share, low, high)} {limit}"


def _point(row: Measurement, useful: float, share: str) -> DisplayValue:
    if (reason := untimed(row)) is not None:
        return reason
    if row.work is None:
        return "amount of work not recorded"
    if not share:
        return "no measured ceilings for this device and dtype"
    if not row.work.fewest_bytes > 0:
        return "zero bytes, which a log axis cannot show"
    return without_interval(useful, f"{share}; {format.rate(useful, 'FLOP/s')} useful")


def _divide(rate: float, byte_rate: float) -> float:
    return rate / byte_rate if byte_rate > 0 else math.nan


def _text(rate: float, unit: str, missing: str = "") -> str:
    return missing if math.isnan(rate) else format.rate(rate, unit)
