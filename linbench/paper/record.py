"""Record: what a figure was made from, and how, beside the figure."""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from linbench.analysis.chart import Chart
from linbench.core.measurement import Status
from linbench.core.run import Run

LIBRARIES = ("linbench", "matplotlib", "numpy", "pandas")


def record(chart: Chart, runs: Sequence[Run], command: Sequence[str], **look: Any) -> dict[str, Any]:
    """Return what a figure or table was made from as plain JSON data.

    Args:
        chart: What it shows.
        runs: The runs that it was made from.
        command: The words that made it.
        look: How it looks, as style and width.
    """
    shown = {"x": chart.x, "y": chart.y, "hue": chart.hue, "facets": list(chart.facets)}
    absent = chart.points[chart.points["status"] == Status.UNSUPPORTED]
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
        "chart": shown | {"where": dict(chart.where), "baseline": chart.baseline} | look,
        "points": len(chart.points),
        "unsupported": sorted({f"{hue}: {why}" for hue, why in _pairs(absent[[chart.hue, "reason"]])}),
    }


def versions() -> dict[str, str]:
    """Return the versions of what draws and writes."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_beside(path: Path, chart: Chart, made: Mapping[str, Any]) -> None:
    """Write the points of a chart to a .csv and what it was made from to a .json, beside its file."""
    chart.points.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n")
    text = json.dumps(made, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")


def _pairs(rows: Any) -> Any:
    return rows.itertuples(index=False, name=None)
