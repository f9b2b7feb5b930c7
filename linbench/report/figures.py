"""How each figure and each implementation is drawn, as plain data for plotly and for style sheets."""

from collections.abc import Sequence
from typing import Any, Final

from linbench.analysis.capacity import refuses
from linbench.analysis.palette import LIGHT
from linbench.core.measurement import Measurement
from linbench.core.roof import Roofs, bound_of

# Plotly's name of a marker, and its outline for the legend in a box from -6 to 6.
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

AXES: Final = {
    "T": "sequence length T, tokens",
    "B": "batch size B, sequences",
    "H": "heads H",
    "K": "head dimension K, elements",
}

FIGURES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "time",
        "title": "Time",
        "note": "Median of one call with its 95% interval; lower is better.",
        "y": "time of one call",
    },
    {
        "id": "memory",
        "title": "Memory",
        "note": "Most bytes that one call holds above its inputs; lower is better.",
        "y": "peak memory above the inputs",
    },
    {
        "id": "speedup",
        "title": "Speed-up",
        "note": "Time of the baseline over time, with its 95% interval; above 1 is faster.",
        "y": "speed-up over the baseline",
    },
    {
        "id": "error",
        "title": "Error",
        "note": "Distance from the float64 oracle; the dashed line is what the data type allows.",
        "y": "relative L2 error",
    },
    {
        "id": "throughput",
        "title": "Throughput",
        "note": "Tokens that one call takes in, over its time; a step of decoding takes one a sequence.",
        "y": "tokens a second",
    },
    {
        "id": "state",
        "title": "State",
        "note": "Bytes of the recurrent state or cache that a call is given or returns; lower is better.",
        "y": "bytes of the state",
    },
    {
        "id": "approximation",
        "title": "Approximation",
        "note": "Distance of the operator's exact output from that of the operator it approximates, on the "
        "same inputs: what no implementation of it can undo.",
        "y": "relative L2 distance",
    },
    {
        "id": "reach",
        "title": "Reach before out of memory",
        "note": "The largest that fits; \u2715 where memory was not enough, \u25b8 where it always was.",
        "y": "",
    },
    {
        "id": "pareto",
        "title": "Error against time",
        "note": "Lower left is better; no other is both as quick and as exact as those on the dotted line.",
        "x": "time of one call",
        "y": "relative L2 error",
    },
    {
        "id": "position",
        "title": "Error along the sequence",
        "note": "Error of the worst tensor in stretches of equal length, from the first token to the last.",
        "x": "token",
        "y": "relative L2 error of a stretch",
    },
    {
        "id": "parts",
        "title": "Memory in parts",
        "note": "What the most bytes that one call holds above its inputs are made of; lower is better.",
        "x": "bytes above the inputs",
        "y": "",
    },
    {
        "id": "roofline",
        "title": "Roofline",
        "note": "Work over the fewest bytes, under the ceilings that were measured. A marker is the useful "
        "work; the small one at the end of its line is all that the algorithm does, useful or not.",
        "x": "operations a byte, FLOP/B",
        "y": "operations a second, FLOP/s",
    },
)


def figures(rows: Sequence[Measurement], roofs: Roofs) -> list[dict[str, Any]]:
    """Return the figures for which some row has anything to draw; the first four always.

    Args:
        rows: The rows.
        roofs: The ceilings of the machine, where they were measured.
    """
    memories = [row.memory for row in rows if row.memory]
    drawn = {
        "throughput": any(row.time and row.case.mode == "decode" for row in rows),
        "state": any(memory.state_bytes for memory in memories),
        "approximation": any(row.approximation for row in rows),
        "reach": any(refuses(row.status, row.cause) for row in rows),
        "pareto": any(row.time and row.errors for row in rows),
        "position": any(error.by_position for row in rows for error in row.errors.values()),
        "parts": any(memory.output_bytes or memory.workspace_bytes for memory in memories),
        "roofline": any(row.time and bound_of(roofs, row.case, row.work) for row in rows),
    }
    return [figure for figure in FIGURES if drawn.get(figure["id"], True)]


def styles(names: list[str]) -> list[dict[str, Any]]:
    """Return the colour, line and marker of each implementation; colour and marker repeat after seventy."""
    return [
        {
            "name": name,
            "colour": index % len(LIGHT),
            "dash": DASHES[index // len(LIGHT) % len(DASHES)],
            "marker": MARKERS[index % len(MARKERS)][0],
            "outline": MARKERS[index % len(MARKERS)][1],
        }
        for index, name in enumerate(names)
    ]


def layout(figure: dict[str, Any], axis: str) -> dict[str, Any]:
    """Return a figure's plotly layout, less its colours, which follow the reader's theme."""
    return {
        "xaxis": {
            "type": "log",
            "title": {"text": figure.get("x", AXES[axis]), "standoff": 10},
            "anchor": "y",
        },
        "yaxis": {"type": "log", "title": {"text": figure["y"]}},
        "margin": {"l": 80, "r": 20, "t": 8, "b": 48},
        "showlegend": False,
        "hovermode": "closest",
    }
