import re
from dataclasses import replace

import pytest
from synthetic import error, realistic, row, run_of, table

from linbench.analysis.chart import chart
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.paper.table import booktabs, markdown, write_style
from linbench.store.table import frame

HOSTILE = "c/100%_#1 & \\input{/etc/passwd} $x^2~{} '\"` | *b* <i> \u4e2d\x07"


def rows():
    return [
        row("a/x", 1e-3, T=512), row("b/y", 1.005e-3, T=512), row("c/z", 2e-3, T=512),
        row("d/w", 3e-3, T=512),
        row("a/x", 4e-6, T=1024), row("b/y", 9e-6, T=1024), row("c/z", T=1024, status=Status.OOM),
        row("d/w", T=1024, status=Status.COMPILE_ERROR),
    ]  # fmt: skip


def lines(text):
    return {
        line.split("&")[0].strip(): [cell.strip() for cell in line.rstrip("\\ ").split("&")[1:]]
        for line in text.splitlines()
        if "/" in line and "&" in line
    }


def test_the_best_is_bold_the_second_underlined_and_failures_are_named():
    cells = lines(booktabs(chart(table(rows()))))
    assert cells == {
        "a/x": [r"\textbf{1.00~ms}", r"\textbf{4.00~$\mu$s}"],
        "b/y": [r"\textbf{1.01~ms}", r"\underline{9.00~$\mu$s}"],  # at 512 a tie with the best
        "c/z": [r"\underline{2.00~ms}", "OOM"],
        "d/w": ["3.00~ms", "compile error"],
    }


def test_the_best_throughput_and_speedup_is_the_largest():
    cells = lines(booktabs(chart(table(rows()), y="throughput")))
    assert cells["a/x"][1] == r"\textbf{256~M}"
    cells = lines(booktabs(chart(table(rows()), y="speedup", baseline="d/w")))
    assert [row[0] for row in cells.values()] == [
        r"\textbf{3.00$\times$}", r"\textbf{2.99$\times$}", r"\underline{1.50$\times$}", r"1.00$\times$",
    ]  # fmt: skip


def test_the_best_is_among_the_rows_of_one_facet():
    measurements = [row("a/x", 1, K=32, V=32), row("b/y", 9, K=32, V=32)]
    measurements += [row("a/x", 90, K=64, V=64), row("b/y", 10, K=64, V=64)]
    text = booktabs(chart(table(measurements), facets=["D"]))
    assert text.count(r"\textbf") == 2
    assert text.count(r"\addlinespace") == 1
    assert "multirow" not in text


def test_a_single_value_is_not_marked_and_a_missing_row_is_a_dash():
    cells = lines(booktabs(chart(table([row("a/x", T=1), row("b/y", T=2)]))))
    assert cells == {"a/x": ["1.00~ms", "--"], "b/y": ["--", "1.00~ms"]}


def test_errors_with_equal_digits_tie():
    errors = {"a/x": 1.04e-7, "b/y": 9.96e-8, "c/z": 2e-7}
    measurements = [replace(row(name), errors={"o": error(rel_l2)}) for name, rel_l2 in errors.items()]
    cells = lines(booktabs(chart(table(measurements), y="error")))
    assert [row[0] for row in cells.values()] == [
        r"\textbf{1.0e$-$7}", r"\textbf{1.0e$-$7}", r"\underline{2.0e$-$7}",
    ]  # fmt: skip


def test_markdown_has_the_same_cells_and_escaped_names():
    text = markdown(chart(table([*rows(), row(HOSTILE, 1.0, T=512)])))
    assert "| implementation | T = 512 | T = 1k |" in text
    assert "| a/x | **1.00 ms** | **4.00 \u00b5s** |" in text
    assert "| c/z | <u>2.00 ms</u> | OOM |" in text
    (line,) = (line for line in text.splitlines() if "100%" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 4
    assert r"\*b\* \<i\> U\+4E2DU\+0007" in line


def test_an_unknown_style_is_rejected():
    with pytest.raises(UsageError, match=r"unknown --style 'latex'; known: booktabs, markdown"):
        write_style("latex")


def test_pdflatex_accepts_the_tables(latex, tmp_path):
    compile_document = latex("booktabs.sty")
    many = frame([realistic()])
    hostile = [
        row(name, K=k, V=k, mode=mode, options={"f_m": "x_y%"} if name == HOSTILE else {})
        for name in (HOSTILE, "a/--x")
        for k in (8, 16)
        for mode in ("fwd", "decode")
    ]
    charts = [
        *(chart(many, y=y, facets=["mode"]) for y in ("time", "memory", "error", "speedup", "throughput")),
        chart(table(hostile), facets=["mode", "D"]),
        chart(table(hostile), facets=["mode", "D"], hue="options", where={"implementation": [HOSTILE]}),
        chart(frame([run_of(rows())])),
    ]
    body = "\n\n".join(booktabs(figure) for figure in charts)
    text = "\\documentclass[landscape]{article}\\usepackage{booktabs}\\begin{document}\\tiny\n"
    compile_document(text + body + "\\end{document}\n", tmp_path / "t.tex")
    assert (tmp_path / "t.pdf").stat().st_size > 10_000
