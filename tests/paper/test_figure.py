import builtins
import re
import struct
import zlib
from dataclasses import replace
from itertools import pairwise

import pytest
from synthetic import error, realistic, row, sweep, table

from linbench.analysis.chart import chart
from linbench.analysis.palette import LIGHT
from linbench.core.errors import UsageError
from linbench.core.measurement import FAILURES, Status
from linbench.paper.figure import MARKERS, _settings, draw, save_figure
from linbench.paper.venue import VENUES, venue, width_in
from linbench.store.table import frame
from linbench.text.latex import plain

pytest.importorskip("matplotlib", reason="matplotlib is in the extra paper")
WIDTHS = [(name, width) for name, venue in VENUES.items() for width in venue.widths_in]


@pytest.fixture(scope="module")
def sweep_chart():
    return chart(frame([realistic()]), facets=["mode"])


@pytest.fixture(scope="module")
def small():
    return chart(table(sweep("a/x", lambda t: 1e-6 * t, (512, 1024)) + sweep("b/y", lambda _: 1e-3, (512,))))


def draw_chart(chart, name="icml", width="column"):
    venue = VENUES[name]
    with _settings(venue):
        figure = draw(chart, venue, venue.widths_in[width], plain)
        figure.draw_without_rendering()
        return figure


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
def test_the_same_chart_produces_the_same_bytes(small, tmp_path, form):
    first, second = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    for path in (first, second):
        save_figure(small, VENUES["icml"], 3.25, path)
    assert first.read_bytes() == second.read_bytes()
    assert not re.search(rb"CreationDate|ModDate|dc:date", first.read_bytes())


@pytest.mark.parametrize(("name", "width"), WIDTHS)
def test_a_page_has_the_width_of_the_venue(small, tmp_path, name, width):
    path = tmp_path / "a.pdf"
    inches = VENUES[name].widths_in[width]
    save_figure(small, VENUES[name], inches, path)
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", path.read_bytes())
    assert float(box[1]) / 72 == pytest.approx(inches, abs=0.001)


def test_letters_in_a_pdf_are_truetype(small, tmp_path):
    save_figure(small, VENUES["neurips"], 5.5, tmp_path / "a.pdf")
    body = (tmp_path / "a.pdf").read_bytes()
    assert b"/Type3" not in body
    assert b"/CIDFontType2" in body


def test_labels_stay_inside_the_figure_and_do_not_overlap(sweep_chart):
    for name, width in (("neurips", "text"), ("acl", "column"), ("slides", "column")):
        figure = draw_chart(sweep_chart, name, width)
        edge = figure.bbox
        for axes in figure.axes:
            if not axes.get_visible():
                continue
            texts = [text for text in axes.get_xticklabels() if text.get_visible() and text.get_text()]
            boxes = [text.get_window_extent() for text in texts]
            assert all(left.x1 < right.x0 for left, right in pairwise(boxes)), (name, width)
            for text in [*texts, *axes.get_yticklabels(), axes.yaxis.label, axes.title]:
                box = text.get_window_extent()
                assert box.x0 >= -1, (name, width, text)
                assert box.x1 <= edge.x1 + 1, (name, width, text)
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0, (name, width)
        assert legend.x1 <= edge.x1, (name, width)
        tops = [axes.get_tightbbox().y1 for axes in figure.axes if axes.get_visible()]
        assert legend.y0 >= max(tops) - 1, (name, width)


def test_each_failure_has_a_mark_and_each_kind_a_legend_entry(sweep_chart):
    figure = draw_chart(sweep_chart)
    kinds = {"x", "+", "1", "|"}
    marks = [line for axes in figure.axes for line in axes.lines if line.get_marker() in kinds]
    points = sweep_chart.points
    failed = points["status"].isin([*FAILURES, Status.SKIPPED])
    assert len(marks) == failed.sum() == 11
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-4:] == ["out of memory", "timed out", "wrong result", "skipped"]
    assert "linear/cuda" not in labels  # unsupported: listed in the .json


def test_a_series_looks_the_same_in_every_selection(sweep_chart):
    part = chart(
        frame([realistic()]), where={"mode": ["decode"], "implementation": ["softmax/flash", "linear/naive"]}
    )
    looks = [
        {line.get_label(): (line.get_color(), line.get_marker()) for line in lines}
        for lines in (draw_chart(selection).legends[0].get_lines() for selection in (sweep_chart, part))
    ]
    assert looks[1] == {name: looks[0][name] for name in ("linear/naive", "softmax/flash")}


def test_seventy_series_differ_in_colour_or_marker():
    assert len({(LIGHT[n % len(LIGHT)], MARKERS[n % len(MARKERS)]) for n in range(70)}) == 70


def test_too_many_series_are_rejected_with_options_that_select_some(tmp_path):
    names = [f"{operator}/x{n}" for operator in "ab" for n in range(6)]
    rows = [row(name, status=Status.OOM if name == "a/x0" else Status.OK) for name in names]
    rows += [row("c/none", status=Status.UNSUPPORTED)]
    with pytest.raises(UsageError) as caught:
        save_figure(chart(table(rows)), VENUES["icml"], 3.25, tmp_path / "a.svg")
    assert str(caught.value) == (
        "a figure can distinguish 10 series, but implementation has 12 values here; select some with "
        "--where operator=a, or --where implementation=a/x1,a/x2; `linbench table` prints them all"
    )
    save_figure(chart(table(rows), where={"operator": ["a"]}), VENUES["icml"], 3.25, tmp_path / "a.svg")
    heads = [row("a/x", H=h) for h in range(1, 12)]
    with pytest.raises(UsageError, match=r"select some with --where H=1,2; "):
        save_figure(chart(table(heads), hue="H"), VENUES["icml"], 3.25, tmp_path / "b.svg")


def test_error_bars_are_the_intervals():
    rows = sweep("a/x", lambda t: 1e-6 * t, (512, 1024), spread=0.2)
    (axes,) = draw_chart(chart(table(rows))).axes
    (bars,) = axes.collections
    ends = [sorted(path.vertices[:, 1]) for path in bars.get_paths()]
    assert ends == [pytest.approx([t * 0.8e-6, t * 1.2e-6]) for t in (512, 1024)]


@pytest.mark.parametrize("values", [(2.3e-7,), (7e-8, 3.1e-7), (1e-9, 1e-2)])
def test_an_error_axis_has_three_to_six_ticks_with_their_values(values):
    rows = [replace(row("a/x", T=2**n), errors={"o": error(value)}) for n, value in enumerate(values)]
    (axes,) = draw_chart(chart(table(rows), y="error")).axes
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
    assert 3 <= len(ticks) <= 6
    labels = [text.get_text() for text in axes.get_yticklabels()]
    numbers = [float(re.sub(r"\$(?:([\d.]+)\\times )?10\^\{(-\d+)\}\$", scientific, text)) for text in labels]
    assert numbers == pytest.approx(ticks)


def scientific(match):
    return f"{match[1] or 1}e{match[2]}"


def test_an_interval_is_cut_below_the_marks_of_failures():
    rows = sweep("a/x", lambda t: 1e-6 * t, (512, 1024), spread=0.9999)
    rows += [row(name, T=1024, status=Status.OOM) for name in ("b/y", "c/z")]
    (axes,) = draw_chart(chart(table(rows))).axes
    marks = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata()) == 1]
    lowest = min(line.get_transform().transform((1024, line.get_ydata()[0]))[1] for line in marks)
    assert len(marks) == 2
    bars = axes.collections[0]
    assert bars.get_clip_box().y1 < lowest - marks[0].get_markersize() / 2
    assert bars.get_clip_box().y1 > axes.bbox.y0 + axes.bbox.height / 2


def test_unbounded_intervals_do_not_squeeze_the_values():
    rows = sweep("a/x", lambda t: 1e-6 * t, (512, 1024), spread=0.999999)
    (axes,) = draw_chart(chart(table(rows))).axes
    bottom, top = axes.get_ylim()
    assert 512e-6 / 3 < bottom < 512e-6
    assert 1024e-6 < top < 1024e-6 * 3


@pytest.mark.parametrize("y", ["time", "memory", "error", "speedup", "throughput"])
def test_charts_with_one_point_or_none_are_drawn(tmp_path, y):
    save_figure(chart(table([row("a/x")]), y=y), VENUES["acl"], 3, tmp_path / "a.png")
    if y != "speedup":
        save_figure(chart(table([row("a/x", status=Status.OOM)]), y=y), VENUES["acl"], 3, tmp_path / "b.png")


def test_the_settings_of_the_user_change_nothing(small, tmp_path):
    import matplotlib

    save_figure(small, VENUES["icml"], 3.25, tmp_path / "a.svg")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 40, "savefig.bbox": "tight"}):
        save_figure(small, VENUES["icml"], 3.25, tmp_path / "b.svg")
        assert matplotlib.rcParams["lines.linewidth"] == 9
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_hostile_names_are_escaped(tmp_path):
    rows = [row("a/$\\frac{1}{0}$<script>"), row("b/$x", T=2048), row("c/_y^{", T=2048)]
    save_figure(chart(table(rows)), VENUES["icml"], 3.25, tmp_path / "a.svg")
    assert "<script>" not in (tmp_path / "a.svg").read_text()
    labels = [text.get_text() for text in draw_chart(chart(table(rows))).legends[0].get_texts()]
    assert labels == ["a/\\$\\frac{1}{0}\\$<script>", "b/\\$x", "c/_y^{"]  # no formula


def test_without_matplotlib_the_error_names_the_extra_to_install(sweep_chart, tmp_path, monkeypatch):
    original = builtins.__import__

    def import_(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_)
    with pytest.raises(UsageError, match=re.escape("pip install 'linbench[paper]'")):
        save_figure(sweep_chart, VENUES["icml"], 3.25, tmp_path / "a.pdf")


def test_an_unknown_style_and_an_unknown_width_are_rejected():
    with pytest.raises(UsageError, match=r"unknown --style 'nips'; did you mean neurips\?"):
        venue("nips")
    with pytest.raises(UsageError, match="--width 'half' is not one of text, column"):
        width_in(venue("acl"), "half")


def test_a_png_has_the_pixels_of_its_width(small, tmp_path):
    save_figure(small, VENUES["slides"], 12, tmp_path / "a.png")
    body = (tmp_path / "a.png").read_bytes()
    assert struct.unpack(">I", body[16:20])[0] == 2400
    assert zlib.crc32(body[12:29]) == struct.unpack(">I", body[29:33])[0]
