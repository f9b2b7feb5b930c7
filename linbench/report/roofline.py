"""Roofline: a machine's ceilings as lines, and each row's work under them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from linbench.analysis.speed_of_light import speed_of_light
from linbench.core.measurement import Measurement
from linbench.core.roof import Level, Roof, Roofs, roofs_of
from linbench.core.run import Run
from linbench.report.values import Numbers, Shown, Values, columns, plain, rounded, untimed
from linbench.text import format

REACH: Final = 1e6
"""How far the line of a roof goes on beyond the ridges on both sides: to the edge of any figure."""


@dataclass(frozen=True)
class RoofLine:
    """The roof of a level of the memory.

    Attributes:
        name: Of the level, as L2 or memory.
        text: Its rates in words.
        x: Operations a byte: far left, where operations begin to bound, and far right.
        y: Operations a second at these.
    """

    name: str
    text: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


@dataclass(frozen=True)
class Points:
    """Each row under the roofs, in columns.

    Attributes:
        values: Useful operations a second, with the share of the speed of light in words.
        intensity: Useful operations a byte.
        algorithmic: Operations a second of the algorithm; None where it declares none.
        algorithmic_intensity: Operations of the algorithm a byte.
        light: The share of the speed of light, as 50.0% [45.5, 55.6] compute; empty where it is not known.
        useful_text: Useful operations a second in words.
        algorithmic_text: Those of the algorithm.
        bytes_text: The fewest bytes a second.
        intensity_text: Useful operations a byte.
        fewest_text: The fewest bytes.
    """

    values: Values
    intensity: Numbers
    algorithmic: Numbers
    algorithmic_intensity: Numbers
    light: tuple[str, ...]
    useful_text: tuple[str, ...]
    algorithmic_text: tuple[str, ...]
    bytes_text: tuple[str, ...]
    intensity_text: tuple[str, ...]
    fewest_text: tuple[str, ...]


def roofs_of_run(run: Run) -> Roofs:
    """Return the roofs under which a run has timed rows with their work; none if there were no ceilings."""
    roofs = roofs_of(run.environment.ceilings.entries)
    kinds = {(row.case.device, row.case.dtype) for row in run.measurements if row.time and row.work}
    return {kind: roof for kind, roof in roofs.items() if kind in kinds}


def unmeasured(run: Run) -> str:
    """Return the device of timed rows on which no ceilings had been measured; empty if there is none."""
    roofs = roofs_of(run.environment.ceilings.entries)
    timed = (row.case for row in run.measurements if row.time)
    return next((case.device for case in timed if (case.device, case.dtype) not in roofs), "")


def roof_lines(roof: Roof) -> tuple[RoofLine, ...]:
    """Return the line of each level: bytes at the level's rate, until operations bound."""
    ridges = [roof.flops_per_s / level.bytes_per_s for level in roof.levels]
    left, right = min(ridges) / REACH, max(ridges) * REACH
    return tuple(_line(roof, level, left, right) for level in roof.levels)


def _line(roof: Roof, level: Level, left: float, right: float) -> RoofLine:
    flops = roof.flops_per_s
    rates = format.rate(level.bytes_per_s, "B/s"), format.rate(flops, "FLOP/s")
    return RoofLine(
        level.name,
        f"{level.name}: {rates[0]}, until {rates[1]} bound",
        (left, flops / level.bytes_per_s, right),
        (left * level.bytes_per_s, flops, flops),
    )


def points(rows: tuple[Measurement, ...], table: pd.DataFrame) -> Points:
    """Return each row under the roofs.

    Args:
        rows: The rows.
        table: The same as a frame.
    """
    found = table.join(speed_of_light(table))
    light = [_light(*each) for each in found[["share", "share_low", "share_high", "limit"]].itertuples(False)]
    useful, algorithmic, moved = (
        list(found[name].astype("float64"))
        for name in ("useful_flops_per_s", "algorithmic_flops_per_s", "bytes_per_s")
    )
    fewest = list(found["fewest_bytes"].astype("Float64").to_numpy("float64", na_value=math.nan))
    intensity = [_over(rate, other) for rate, other in zip(useful, moved, strict=True)]
    return Points(
        values=columns(map(_point, rows, useful, light)),
        intensity=tuple(map(rounded, intensity)),
        algorithmic=tuple(rounded(rate) if rate > 0 else None for rate in algorithmic),
        algorithmic_intensity=tuple(
            rounded(_over(rate, other)) if rate > 0 else None
            for rate, other in zip(algorithmic, moved, strict=True)
        ),
        light=tuple(light),
        useful_text=tuple(_text(rate, "FLOP/s") for rate in useful),
        algorithmic_text=tuple(_text(rate, "FLOP/s", "not declared") for rate in algorithmic),
        bytes_text=tuple(_text(rate, "B/s") for rate in moved),
        intensity_text=tuple("" if math.isnan(each) else format.digits(each) for each in intensity),
        fewest_text=tuple("" if math.isnan(each) else format.size(each) for each in fewest),
    )


def _light(share: float, low: float, high: float, limit: str) -> str:
    return "" if math.isnan(share) else f"{format.share_interval(share, low, high)} {limit}"


def _point(row: Measurement, useful: float, light: str) -> Shown:
    if (why := untimed(row)) is not None:
        return why
    if row.work is None:
        return "its work was not recorded"
    if not light:
        return "no ceilings had been measured for it"
    if not row.work.fewest_bytes > 0:
        return "its bytes are zero, which a log axis cannot show"
    return plain(useful, f"{light}; {format.rate(useful, 'FLOP/s')} useful")


def _over(rate: float, other: float) -> float:
    return rate / other if other > 0 else math.nan


def _text(rate: float, unit: str, missing: str = "") -> str:
    return missing if math.isnan(rate) else format.rate(rate, unit)
