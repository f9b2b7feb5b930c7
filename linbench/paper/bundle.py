"""Bundle: everything that a paper needs from a run, in one folder; the same run produces the same bytes."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import pandas as pd

from linbench.analysis import capacities, crossovers, panels, scalings, tabulate
from linbench.analysis.chart import Chart, chart, readable
from linbench.core.codec import encode
from linbench.core.errors import UsageError, unknown
from linbench.core.run import Run
from linbench.paper.figure import MOST_SERIES, plotted_series, save_figure
from linbench.paper.methods import methods
from linbench.paper.rerun import grid_toml, rerun_script
from linbench.paper.sidecar import Look, sidecar, versions, write_sidecar
from linbench.paper.table import booktabs, markdown
from linbench.paper.venue import venue, width_in
from linbench.store.exchange.export import write_run
from linbench.store.table import frame
from linbench.text.latex import typeset

MOST_PANELS: Final = 6
SPLITS: Final = ("mode", "dtype", "device", "options", "seed")
ANALYSES: Final = {"crossovers": crossovers, "scaling": scalings, "capacity": capacities}


def write_bundle(run: Run, folder: Path, style: str, width: str, baseline: str | None = None) -> list[Path]:
    """Write figures, tables, methods, data and a script that repeats the run to a folder; return the files.

    Args:
        run: The run to describe.
        folder: An existing, empty folder.
        style: Name of the venue that the figures are for.
        width: Name of one of the venue's widths.
        baseline: The implementation that speed-ups are relative to; None for the chart's default.

    Raises:
        UsageError: The run has no rows, or the venue, its width or the baseline is unknown.
    """
    rows = frame([run])
    page = venue(style)
    inches = width_in(page, width)
    if rows.empty:
        raise UsageError(f"run {run.id} has no rows: there is nothing to write")
    if baseline is not None and baseline not in set(rows["implementation"]):
        raise unknown("--baseline", baseline, set(rows["implementation"]))
    for name in ("figures", "tables", "data"):
        (folder / name).mkdir()
    for name, choice in _charts(readable(rows), baseline):
        for suffix, part in _parts(rows, choice):
            path = folder / "figures" / f"{name}{suffix}.pdf"
            save_figure(part, page, inches, path)
            command = ["linbench", "plot", run.id, "--style", style, "--width", width, *_plot_options(part)]
            command += ["-o", f"figures/{path.name}"]
            write_sidecar(path, part, sidecar(part, [run], command, Look(style, width, inches)))
            (folder / "tables" / f"{name}{suffix}.tex").write_text(booktabs(part), encoding="utf-8")
            (folder / "tables" / f"{name}{suffix}.md").write_text(markdown(part), encoding="utf-8")
    text = methods(run)
    (folder / "methods.md").write_text(text, encoding="utf-8")
    (folder / "methods.tex").write_text(typeset(text.strip()) + "\n", encoding="utf-8")
    _write_data(run, rows, folder / "data")
    (folder / "grid.toml").write_text(grid_toml(run), encoding="utf-8")
    (folder / "rerun.sh").write_text(rerun_script(run), encoding="utf-8")
    (folder / "rerun.sh").chmod(0o755)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_data(run: Run, rows: pd.DataFrame, folder: Path) -> None:
    write_run(run, "csv", folder / "measurements.csv")
    try:
        import pyarrow  # noqa: F401 - Parquet is written if pyarrow is installed
    except ImportError:
        pass
    else:
        write_run(run, "parquet", folder / "measurements.parquet")
    for name, find in ANALYSES.items():
        tabulate(rows, find).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    record = {
        "id": run.id,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "environment": encode(run.environment),
        "plan": encode(run.plan),
        "written_by": versions(),
    }
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Choice:
    """The arguments of one chart of a bundle; see `linbench.analysis.chart.chart`."""

    x: str
    y: str
    facets: Sequence[str]
    where: Mapping[str, Sequence[str]]
    baseline: str | None

    def chart(self, rows: pd.DataFrame) -> Chart:
        """Return the chart of these rows."""
        return chart(rows, x=self.x, y=self.y, facets=self.facets, where=self.where, baseline=self.baseline)


def _charts(rows: pd.DataFrame, baseline: str | None) -> Iterator[tuple[str, Choice]]:
    """Yield the name and the choice of each chart: one per quantity and value that panels cannot separate."""
    axis, facets, splits = _layout(rows)
    for values in product(*(list(dict.fromkeys(rows[name])) for name in splits)):
        selection = dict(zip(splits, values, strict=True))
        part = rows
        for name, value in selection.items():
            part = part[part[name] == value]
        if part.empty:
            continue
        implementations = set(part.loc[part["median_s"] > 0, "implementation"])  # those with a time
        quantities = ["time", "memory", "error"] if implementations else ["memory", "error"]
        if len(implementations) > 1 and (baseline is None or baseline in implementations):
            quantities.append("speedup")
        if implementations and set(part["mode"]) == {"decode"}:
            quantities.append("throughput")
        where = {name: [str(value)] for name, value in selection.items()}
        for y in quantities:
            name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", "-".join([y, *map(str, values)]))
            yield name, Choice(axis, y, facets, where, baseline if y == "speedup" else None)


def _parts(rows: pd.DataFrame, choice: Choice) -> Iterator[tuple[str, Chart]]:
    """Yield a chart, or its parts by operator if it has too many series for one figure, with name suffixes.

    Speed-ups of a part are relative to the baseline of the full chart, which is therefore in every part.
    """
    full = choice.chart(rows)
    lines = plotted_series(full)
    if len(lines) <= MOST_SERIES:
        yield "", full
        return
    baselines = [full.baseline] if full.baseline else []
    room = MOST_SERIES - len(baselines)
    for operator, part in full.points.groupby(full.points["implementation"].str.partition("/")[0]):
        names = [name for name in full.hues if name in set(part["implementation"]) and name not in baselines]
        plotted = [name for name in names if name in lines]
        for start in range(0, len(plotted), room):
            members = plotted[start : start + room]
            if start + room >= len(plotted):  # unsupported implementations have no line: last table
                members += [name for name in names if name not in lines]
            number = f"-{start // room + 1}" if start else ""
            where = {**choice.where, "implementation": [*baselines, *members]}
            yield f"-{operator}{number}", replace(choice, where=where, baseline=full.baseline).chart(rows)


def _layout(rows: pd.DataFrame) -> tuple[str, list[str], list[str]]:
    """Return the x axis, the columns that separate panels, and the columns that separate figures."""
    panel = panels(rows.assign(options="{}"))[0]
    square = bool((rows["K"] == rows["V"]).all())
    axis = "D" if panel.axis == "K" and square else panel.axis
    follows = {name for name, text in panel.settings.items() if text.startswith("follows")}
    shape = ["D"] if square else ["K", "V"]
    varying = [
        name
        for name in (*SPLITS, "B", "H", *shape)
        if rows[name].nunique() > 1 and name != axis and name not in follows
    ]
    facets: list[str] = []
    for name in reversed([name for name in varying if name not in SPLITS]):
        if len(facets) < 2 and math.prod(rows[facet].nunique() for facet in (*facets, name)) <= MOST_PANELS:
            facets.insert(0, name)
    return axis, facets, [name for name in varying if name not in facets]


def _plot_options(chart: Chart) -> list[str]:
    """Return the options of `linbench plot` that draw the same chart."""
    options = ["--x", chart.x, "--y", chart.y, "--hue", chart.hue]
    options += [option for name in chart.facets for option in ("--facet", name)]
    filters = [f"{name}={','.join(values)}" for name, values in chart.where.items()]
    options += [option for text in filters for option in ("--where", text)]
    return options + (["--baseline", chart.baseline] if chart.baseline else [])
