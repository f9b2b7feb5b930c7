"""Sidecar: the record of what a figure or table was made from and how, in files next to it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from linbench.analysis.chart import Chart
from linbench.core.measurement import Status
from linbench.core.run import Run

LIBRARIES = ("linbench", "matplotlib", "numpy", "pandas")


@dataclass(frozen=True)
class Look:
    """The appearance of a figure or a table.

    Attributes:
        style: Name of a venue, or of a style of tables.
        width: Name of one of the venue's widths; None for a table.
        width_in: That width in inches.
    """

    style: str
    width: str | None = None
    width_in: float | None = None


def sidecar(chart: Chart, runs: Sequence[Run], command: Sequence[str], look: Look) -> dict[str, object]:
    """Return the record of what a figure or table was made from as plain JSON data.

    Args:
        chart: The chart that it shows.
        runs: The runs that it was made from.
        command: The command that made it, as a list of arguments.
        look: Its appearance.
    """
    axes = {"x": chart.x, "y": chart.y, "hue": chart.hue, "facets": list(chart.facets)}
    appearance = {name: value for name, value in asdict(look).items() if value is not None}
    absent = chart.points[chart.points["status"] == Status.UNSUPPORTED]
    pairs = absent[[chart.hue, "reason"]].itertuples(index=False, name=None)
    return {
        "command": list(command),
        "runs": [
            {
                "id": run.id,
                "created_at": run.created_at,
                "commits": [code.commit for code in run.environment.code],
                "command": list(run.plan.command),
            }
            for run in runs
        ],
        "versions": versions(),
        "chart": axes | {"where": dict(chart.where), "baseline": chart.baseline} | appearance,
        "points": len(chart.points),
        "unsupported": sorted({f"{hue}: {reason}" for hue, reason in pairs}),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that draw and write."""
    by_name = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES:
        try:
            by_name[name] = version(name)
        except PackageNotFoundError:
            continue
    return by_name


def write_sidecar(path: Path, chart: Chart, sidecar: Mapping[str, object]) -> None:
    """Write the points of a chart to a .csv and its sidecar to a .json, next to its file."""
    chart.points.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")
    text = json.dumps(sidecar, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
