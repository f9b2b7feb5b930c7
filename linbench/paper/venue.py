"""Venue: the width of a figure in a paper or on a slide, and its font."""

from dataclasses import dataclass
from typing import Final

from linbench.core.errors import UsageError, unknown

CM: Final = 1 / 2.54


@dataclass(frozen=True)
class Venue:
    """A page that figures are made for.

    Attributes:
        widths_in: Widths by name, inches: text is the full text block, column is one column of it.
        font: Font family, one of those that matplotlib includes.
        size_pt: Size of titles, labels and the legend, points.
        tick_pt: Size of the numbers on the axes, points.
        letter_em: Mean width of a letter, in units of `size_pt`.
        line_pt: Width of a line, points.
        marker_pt: Size of a marker, points.
    """

    widths_in: dict[str, float]
    font: str
    size_pt: float
    tick_pt: float
    letter_em: float
    line_pt: float = 1.0
    marker_pt: float = 4


# Text blocks from the venues' author instructions and style files: NeurIPS and ICLR, one column of 5.5 in;
# ICML, two columns of 3.25 in with 0.25 in between; ACL, on A4, two of 7.7 cm with 0.6 cm between.
VENUES: Final = {
    "neurips": Venue({"text": 5.5, "column": 5.5}, "STIXGeneral", 9, 8, 0.42),
    "icml": Venue({"text": 6.75, "column": 3.25}, "STIXGeneral", 9, 8, 0.42),
    "iclr": Venue({"text": 5.5, "column": 5.5}, "STIXGeneral", 9, 8, 0.42),
    "acl": Venue({"text": 16.0 * CM, "column": 7.7 * CM}, "STIXGeneral", 9, 8, 0.42),
    "slides": Venue({"text": 12.0, "column": 6.0}, "DejaVu Sans", 16, 14, 0.55, 2.0, 8),
}


def venue(name: str) -> Venue:
    """Return a venue by its name.

    Raises:
        UsageError: There is no venue with that name.
    """
    if name not in VENUES:
        raise unknown("--style", name, VENUES)
    return VENUES[name]


def width_in(page: Venue, name: str) -> float:
    """Return a width of a venue by its name, inches.

    Raises:
        UsageError: The venue has no width with that name.
    """
    if name not in page.widths_in:
        raise UsageError(f"--width {name!r} is not one of {', '.join(page.widths_in)}")
    return page.widths_in[name]
