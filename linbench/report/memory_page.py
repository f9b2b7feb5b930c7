"""The memory page: one HTML file with the memory timeline of a call; it needs no script and no network."""

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
    "outputs": "tensors that the call returns, including gradients",
    "state": "the state that the call returns",
    "saved": "tensors saved by forward for backward",
    "workspace": "all other memory",
}


@dataclass(frozen=True)
class Area:
    """One kind of memory over time.

    Attributes:
        kind: One of `KINDS`.
        colour: The colour of the area.
        meaning: The description of the kind, one line.
        at_peak: The bytes of this kind at the peak.
        points: The corners of the area, in SVG syntax.
    """

    kind: str
    colour: str
    meaning: str
    at_peak: int
    points: str


def render(profile: Profile, timeline: Timeline) -> str:
    """Return the page of a profile's timeline."""
    peak, peak_s = timeline.peak(), timeline.peak_s()
    largest = sorted(timeline.alive(peak_s), key=lambda block: -block.bytes)
    return html.template("memory.html.j2").render(
        profile=profile,
        areas=areas(levels(timeline, POINTS), peak),
        peak=peak["peak"],
        peak_s=peak_s,
        peak_x=_x(peak_s, timeline.length_s),
        length_s=timeline.length_s,
        count=len(timeline.blocks),
        largest=largest[:SHOWN_BLOCKS],
        further=largest[SHOWN_BLOCKS:],
        width=WIDTH,
        height=HEIGHT,
        format=format,
    )


def areas(steps: Sequence[Level], peak: dict[str, int]) -> list[Area]:
    """Return the areas, each stacked on the previous ones; a level lasts until the next."""
    length_s, most = steps[-1][0], max(1, peak["peak"])
    results = []
    for index, kind in enumerate(KINDS):
        edges = []
        for below in (KINDS[: index + 1], KINDS[:index]):
            heights = [HEIGHT * (1 - sum(level[name] for name in below) / most) for _, level in steps]
            edge = []
            for n, (time_s, _) in enumerate(steps):
                x = _x(time_s, length_s)
                edge += [(x, heights[n - 1]), (x, heights[n])] if n else [(x, heights[n])]
            edges.append(edge)
        corners = edges[0] + edges[1][::-1]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        results.append(Area(kind, COLOURS[kind], MEANINGS[kind], peak[kind], points))
    return results


def _x(time_s: float, length_s: float) -> float:
    return WIDTH * time_s / length_s if length_s else 0.0
