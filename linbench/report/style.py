"""Style: the colour, line and marker of each implementation on a page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from linbench.analysis.palette import LIGHT
from linbench.core.measurement import Measurement

# The name of a marker in plotly, and its outline for the legend in a box from -6 to 6.
MARKERS: Final = (
    ("circle", "M5,0A5,5 0 1 1 -5,0A5,5 0 1 1 5,0Z"),
    ("square", "M-4.5,-4.5H4.5V4.5H-4.5Z"),
    ("diamond", "M0,-6L6,0L0,6L-6,0Z"),
    ("triangle-up", "M0,-5.5L5.5,4.5H-5.5Z"),
    ("triangle-down", "M0,5.5L5.5,-4.5H-5.5Z"),
    ("cross", "M-2,-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z"),
    ("star", "M0,-6L1.6,-2H5.8L2.4,0.8L3.6,5L0,2.5L-3.6,5L-2.4,0.8L-5.8,-2H-1.6Z"),
    ("pentagon", "M0,-5.5L5.3,-1.7L3.3,4.5H-3.3L-5.3,-1.7Z"),
    ("hourglass", "M-5,-5H5L-5,5H5Z"),
    ("bowtie", "M-5,-5V5L5,-5V5Z"),
)

DASHES: Final = ("solid", "dot", "dashdot")


@dataclass(frozen=True)
class Style:
    """The style of an implementation in figures.

    Attributes:
        name: The full name of the implementation.
        quoted: The name, quoted for a shell.
        operator: The first part of the name.
        colour: The number of its colour in the palette.
        dash: The dash of its line, in plotly's terms.
        marker: The marker, in plotly's terms.
        outline: The outline of the marker, for the legend.
    """

    name: str
    quoted: str
    operator: str
    colour: int
    dash: str
    marker: str
    outline: str


def styles(names: Iterable[str]) -> tuple[Style, ...]:
    """Return the style of each implementation; colour and marker repeat after seventy."""
    return tuple(
        Style(
            name=name,
            quoted=shlex.quote(name),
            operator=name.partition("/")[0],
            colour=index % len(LIGHT),
            dash=DASHES[index // len(LIGHT) % len(DASHES)],
            marker=MARKERS[index % len(MARKERS)][0],
            outline=MARKERS[index % len(MARKERS)][1],
        )
        for index, name in enumerate(names)
    )


def implementations(rows: Sequence[Measurement]) -> list[str]:
    """Return the implementations by name; untimed ones come last and get the less distinct colours."""
    timed_names = {row.implementation for row in rows if row.time}
    return sorted({row.implementation for row in rows}, key=lambda name: (name not in timed_names, name))
