"""Bundle: everything that a paper needs of a run, in one folder, the same bytes every time."""

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
from linbench.paper.figure import MOST_SERIES, drawn, save_figure
from linbench.paper.methods import methods
from linbench.paper.rerun import grid_toml, rerun_script
from linbench.paper.sidecar import Look, sidecar, versions, write_beside
from linbench.paper.table import booktabs, markdown
from linbench.paper.venue import venue, width_in
from linbench.store.exchange.export import write_run
from linbench.store.table import frame
from linbench.text.latex import typeset

MOST_PANELS: Final = 6
SPLITS: Final = ("mode", "dtype", "device", "options", "seed")
ANALYSES: Final = {"crossovers": crossovers, "scaling": scalings, "capacity": capacities}


def write_bundle(run: Run, folder: Path, style: str, width: str, baseline: str | None = None) -> list[Path]:
    """Write figures, tables, methods, data and the way to run again into a folder, and return the files.

    Args:
        run: What to write of.
        folder: Where to; it is there and empty.
        style: Name of the venue whose page figures are for.
        width: Name of one of its widths.
        baseline: What speed-ups are over.

    Raises:
        UsageError: The run has no rows, or the venue, its width or the baseline is not known.
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
    for name, asked in _charts(readable(rows), baseline):
        for part, shown in _parts(rows, asked):
            path = folder / "figures" / f"{name}{part}.pdf"
            save_figure(shown, page, inches, path)
            words = ["linbench", "plot", run.id, "--style", style, "--width", width, *_words(shown)]
            words += ["-o", f"figures/{path.name}"]
            write_beside(path, shown, sidecar(shown, [run], words, Look(style, width, inches)))
            (folder / "tables" / f"{name}{part}.tex").write_text(booktabs(shown), encoding="utf-8")
            (folder / "tables" / f"{name}{part}.md").write_text(markdown(shown), encoding="utf-8")
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
        import pyarrow  # noqa: F401 - Parquet is written where it can be
    except ImportError:
        pass
    else:
        write_run(run, "parquet", folder / "measurements.parquet")
    for name, find in ANALYSES.items():
        tabulate(rows, find).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    kept = {
        "id": run.id,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "environment": encode(run.environment),
        "plan": encode(run.plan),
        "written_by": versions(),
    }
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Choice:
    """What a chart of a bundle shows; see `linbench.analysis.chart.chart`."""

    x: str
    y: str
    facets: Sequence[str]
    where: Mapping[str, Sequence[str]]
    baseline: str | None

    def chart(self, rows: pd.DataFrame) -> Chart:
        """Return the chart of some rows."""
        return chart(rows, x=self.x, y=self.y, facets=self.facets, where=self.where, baseline=self.baseline)


def _charts(rows: pd.DataFrame, baseline: str | None) -> Iterator[tuple[str, Choice]]:
    """Yield what to show under which name: each quantity, apart by what no panel can tell apart."""
    axis, facets, splits = _layout(rows)
    for values in product(*(list(dict.fromkeys(rows[name])) for name in splits)):
        chosen = dict(zip(splits, values, strict=True))
        part = rows
        for name, value in chosen.items():
            part = part[part[name] == value]
        if part.empty:
            continue
        timed = set(part.loc[part["median_s"] > 0, "implementation"])
        quantities = ["time", "memory", "error"] if timed else ["memory", "error"]
        if len(timed) > 1 and (baseline is None or baseline in timed):
            quantities.append("speedup")
        if timed and set(part["mode"]) == {"decode"}:
            quantities.append("throughput")
        where = {name: [str(value)] for name, value in chosen.items()}
        for y in quantities:
            name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", "-".join([y, *map(str, values)]))
            yield name, Choice(axis, y, facets, where, baseline if y == "speedup" else None)


def _parts(rows: pd.DataFrame, asked: Choice) -> Iterator[tuple[str, Chart]]:
    """Yield a chart, or parts by operator where it is too much for a figure, with the end of each name.

    Speed-ups of a part are over the baseline of the whole, which so is in every part.
    """
    whole = asked.chart(rows)
    lines = drawn(whole)
    if len(lines) <= MOST_SERIES:
        yield "", whole
        return
    beside = [whole.baseline] if whole.baseline else []
    room = MOST_SERIES - len(beside)
    for operator, part in whole.points.groupby(whole.points["implementation"].str.partition("/")[0]):
        names = [name for name in whole.hues if name in set(part["implementation"]) and name not in beside]
        own = [name for name in names if name in lines]
        for start in range(0, len(own), room):
            some = own[start : start + room]
            if start + room >= len(own):  # what has no line, for want of support, is in the last table
                some += [name for name in names if name not in lines]
            number = f"-{start // room + 1}" if start else ""
            where = {**asked.where, "implementation": [*beside, *some]}
            yield f"-{operator}{number}", replace(asked, where=where, baseline=whole.baseline).chart(rows)


def _layout(rows: pd.DataFrame) -> tuple[str, list[str], list[str]]:
    """Return the x axis, the columns that panels tell apart, and those that figures do."""
    found = panels(rows.assign(options="{}"))[0]
    square = bool((rows["K"] == rows["V"]).all())
    axis = "D" if found.axis == "K" and square else found.axis
    follows = {name for name, text in found.settings.items() if text.startswith("follows")}
    shape = ["D"] if square else ["K", "V"]
    varying = [
        name
        for name in (*SPLITS, "B", "H", *shape)
        if rows[name].nunique() > 1 and name != axis and name not in follows
    ]
    facets: list[str] = []
    for name in reversed([name for name in varying if name not in SPLITS]):
        if len(facets) < 2 and math.prod(rows[one].nunique() for one in (*facets, name)) <= MOST_PANELS:
            facets.insert(0, name)
    return axis, facets, [name for name in varying if name not in facets]


def _words(shown: Chart) -> list[str]:
    """Return the options of `linbench plot` that show the same."""
    words = ["--x", shown.x, "--y", shown.y, "--hue", shown.hue]
    words += [word for name in shown.facets for word in ("--facet", name)]
    chosen = [f"{name}={','.join(values)}" for name, values in shown.where.items()]
    words += [word for one in chosen for word in ("--where", one)]
    return words + (["--baseline", shown.baseline] if shown.baseline else [])
