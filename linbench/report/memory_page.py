"""The memory page: one HTML file that draws a timeline, without a script and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linbench.core.profile import Profile
from linbench.profiling.timeline import KINDS, Level, Timeline, levels
from linbench.report import html
from linbench.text import format

POINTS = 600
WIDTH, HEIGHT = 960, 320
SHOWN_BLOCKS = 30
COLOURS = {"outputs": "#2a7de1", "state": "#8a5cd6", "saved": "#e08a1e", "workspace": "#8d99a6"}
MEANINGS = {
    "outputs": "what the call returns, gradients among them",
    "state": "the state that the call returns",
    "saved": "kept from forward for backward",
    "workspace": "everything else",
}


@dataclass(frozen=True)
class Area:
    """One kind of memory over time.

    Attributes:
        kind: One of `KINDS`.
        colour: Of the area.
        meaning: One line.
        at_peak: Bytes that stand at the peak.
        points: Corners of the area in the drawing, as SVG takes them.
    """

    kind: str
    colour: str
    meaning: str
    at_peak: int
    points: str


def render(profile: Profile, found: Timeline) -> str:
    """Return the page of a profile's timeline."""
    peak, peak_s = found.peak(), found.peak_s()
    largest = sorted(found.alive(peak_s), key=lambda one: -one.bytes)
    return html.template("memory.html.j2").render(
        profile=profile,
        areas=areas(levels(found, POINTS), peak),
        peak=peak["peak"],
        peak_s=peak_s,
        peak_x=_x(peak_s, found.length_s),
        length_s=found.length_s,
        count=len(found.blocks),
        largest=largest[:SHOWN_BLOCKS],
        further=largest[SHOWN_BLOCKS:],
        width=WIDTH,
        height=HEIGHT,
        format=format,
    )


def areas(found: Sequence[Level], peak: dict[str, int]) -> list[Area]:
    """Return the areas, each on top of those before it; a level holds until the next."""
    length_s, most = found[-1][0], max(1, peak["peak"])
    drawn = []
    for place, kind in enumerate(KINDS):
        edges = []
        for below in (KINDS[: place + 1], KINDS[:place]):
            heights = [HEIGHT * (1 - sum(level[name] for name in below) / most) for _, level in found]
            edge = []
            for n, (time_s, _) in enumerate(found):
                x = _x(time_s, length_s)
                edge += [(x, heights[n - 1]), (x, heights[n])] if n else [(x, heights[n])]
            edges.append(edge)
        corners = edges[0] + edges[1][::-1]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        drawn.append(Area(kind, COLOURS[kind], MEANINGS[kind], peak[kind], points))
    return drawn


def _x(time_s: float, length_s: float) -> float:
    return WIDTH * time_s / length_s if length_s else 0.0
