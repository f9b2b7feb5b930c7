"""A figure as .pgf: pdflatex accepts it for all names."""

import re
from dataclasses import replace

import pytest
from synthetic import error, realistic, row, sweep, table

from linbench.analysis.chart import chart
from linbench.core.measurement import Status
from linbench.paper.figure import save_figure
from linbench.paper.venue import VENUES
from linbench.store.table import frame

pytest.importorskip("matplotlib", reason="matplotlib is in the extra paper")
HOSTILE = "c/100%_#1 & \\input{/etc/passwd} $x^2~{}$ |'\"` *b* <i> \u4e2d\x07"
PREAMBLE = "\\documentclass{article}\n\\usepackage{pgf}\n\\begin{document}\n"


def charts():
    rows = [
        replace(measurement, errors={"o": error(1e-7 * measurement.case.K)} if measurement.time else {})
        for k in (8, 16)
        for measurement in (
            *sweep(HOSTILE, lambda t: 1e-6 * t, (512, 1024), K=k, V=k, options={"f_m": "x_y%$"}),
            *sweep("a/--x", lambda t: 2e-6 * t, (512,), K=k, V=k),
            row("a/--x", T=1024, K=k, V=k, status=Status.OOM),
        )
    ]
    hostile = table(rows)
    yield chart(hostile, y="speedup", baseline=HOSTILE, facets=["D"])
    yield chart(hostile, y="error", hue="options", facets=["D"], where={"implementation": [HOSTILE]})
    yield chart(hostile, facets=["implementation"], hue="D")
    yield chart(frame([realistic()]), facets=["mode"])
    yield chart(frame([realistic()]), y="throughput", where={"mode": ["decode"]})


def test_pdflatex_accepts_a_pgf_and_every_letter_of_its_names(latex, tmp_path):
    compile_document = latex("pgf.sty")
    paths = [tmp_path / f"{number}.pgf" for number in range(5)]
    for path, figure in zip(paths, charts(), strict=True):
        save_figure(figure, VENUES["icml"], 3.25, path)
    body = "\n\n".join(f"\\input{{{path.name}}}" for path in paths)
    compile_document(PREAMBLE + body + "\n\\end{document}\n", tmp_path / "t.tex")
    assert (tmp_path / "t.pdf").stat().st_size > 10_000
    first = paths[0].read_text(encoding="utf-8")
    assert r"speed-up over c/100\%\_\#1 \& \textbackslash{}input\{/etc/passwd\} \textdollar{}x" in first
    assert r"a/-{}-x" in first
    assert re.search(r"\\pgfpathrectangle\{\\pgfpointorigin\}\{\\pgfqpoint\{3.25\d*in\}", first)
