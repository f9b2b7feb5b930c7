import math
import re
from dataclasses import replace

import pytest
import synthetic
from embedding import compressed, embedded
from synthetic import BARE, BARE_PLAN, CEILINGS, LENGTHS, error, row, run_of

from linbench.analysis import panels, speedup
from linbench.analysis.palette import DARK, LIGHT
from linbench.core.environment import Host
from linbench.core.gpu import Gpu
from linbench.core.grid import Grid
from linbench.core.measurement import FAILURES, Status
from linbench.core.plan import Plan
from linbench.core.provenance import Code
from linbench.report.page import render
from linbench.report.style import styles
from linbench.store.table import frame
from linbench.text import format

HOSTILE = "linear/<img src=x onerror=alert(1)><script>window.pwned=1</script>"
MARKUP = "linear/<b>bold</b><a href='//example.org'>x</a>"  # markup that plotly would interpret
REASON = "</script><script>window.pwned=2</script><a href='javascript:window.pwned=3'>&amp; \u2028 ${1}"
EMPTY = run_of([], plan=BARE_PLAN, environment=BARE)


class TestText:
    """Tests that need no browser."""

    def test_it_is_one_file_of_moderate_size(self, html):
        assert len(html.encode()) < 6 * 2**20
        assert not re.search(
            r"<(?:script|link|img)[^>]+(?:src|href)=[\"'](?!data:)",
            html.split('<script type="application/gzip"')[0],
        )

    def test_the_page_of_a_run_is_deterministic(self, run, html):
        assert render(run) == html

    def test_every_row_is_in_the_data(self, run, html):
        data = embedded(html)
        assert {len(column) for column in data["rows"].values()} == {len(run.measurements)}
        assert len(embedded(html, "csv")) == 1 + len(run.measurements)
        assert sorted(number for panel in data["panels"] for number in panel["rows"]) == list(
            range(len(run.measurements))
        )

    def test_the_data_have_finite_numbers_only(self):
        wrong = replace(row("a/x", status=Status.WRONG), errors={"o": error(math.nan, math.inf, 3)})
        huge = row("b/y", math.inf)
        html = render(run_of([wrong, huge]))
        data = embedded(html)  # JSON allows no non-finite number
        assert data["errors"]["o"]["values"]["y"] == [None, 3e-7]
        assert data["errors"]["o"]["tolerance"] == [None, 2e-6]
        assert data["values"]["time"]["y"] == [None, None]

    def test_embedded_data_cannot_end_their_element(self):
        html = render(run_of([row(HOSTILE), row("linear/x", status=Status.ERROR, reason=REASON)]))
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", compressed(html))
        assert embedded(html)["implementations"][0]["name"] == HOSTILE
        assert HOSTILE not in html

    def test_a_row_has_the_command_that_reruns_it(self):
        rows = [row("linear/it's", K=32, V=128, seed=7, options={"feature_map": "a b", "normalise": False})]
        data = embedded(render(run_of(rows)))
        assert data["implementations"][0]["quoted"] == "'linear/it'\"'\"'s'"
        assert data["commands"]["arguments"][0] == (
            "--T 1024 --B 1 --H 4 --K 32 --V 128 --dtype float32 --mode fwd --device cpu "
            "--option 'feature_map=a b' --option normalise=false --seed 7"
        )

    def test_the_command_of_the_run(self, html):
        assert '<p class="command"><code>linbench run --grid long-seq --device cpu</code>' in html
        assert "<code>linbench &#39;a b&#39;</code>" in render(
            run_of([], plan=replace(BARE_PLAN, command=("linbench", "a b")))
        )
        assert 'class="command"' not in render(EMPTY)

    def test_the_page_has_the_whole_environment(self):
        environment = replace(
            BARE,
            host=Host("Some CPU", 8, 2**34, "Linux", "3.11"),
            gpus=(Gpu("Some GPU", "GPU-1", 2**36, "580.1"),),
            code=(Code("mine", None, "f" * 40, True, ("a/x", "a/y")), Code("loose.py")),
            ceilings=replace(CEILINGS, entries=CEILINGS.entries[1:2]),
        )
        html = render(run_of([row("a/x")], environment=environment))
        for name, text in [
            ("memory", "16.0 GiB"),
            ("uuid", "GPU-1"),
            ("implementations", "a/x, a/y"),
            ("commit", "f" * 40),
            ("dirty", "yes"),
            ("dirty", "none"),
            (
                "entries",
                "name copy.memory, device cpu, threads 1, unit B/s, best 10000000000.0, "
                "median 10000000000.0, worst 10000000000.0, command made up, holds_bytes none",
            ),
            ("timer", "cpu (1 row)"),
        ]:
            assert f"<dt>{name}</dt><dd>{text}</dd>" in html
        assert "Some CPU · 8 cores · 1 \u00d7 Some GPU · commit ffffffffff" in html

    def test_the_verdict_is_against_the_requested_baseline(self, run):
        assert "Speed-up over softmax/math [95% CI]" in render(run, baseline="softmax/math")
        assert "Speed-up over softmax/flash [95% CI]" in render(run)
        assert "Speed-up over softmax/flash [95% CI]" in render(run, baseline="no/such")

    def test_colours_and_markers_stay_distinct(self, html):
        assert len(LIGHT) == len(DARK)
        data = embedded(html)
        assert [style["name"] for style in data["implementations"]][-2:] == ["linear/cuda", "linear/triton"]
        many_styles = styles(str(number) for number in range(70))
        assert len({(style.colour, style.marker) for style in many_styles}) == 70


@pytest.fixture(scope="module")
def report_page(open_page, html):
    return open_page(html)


@pytest.mark.browser
class TestBrowser:
    def test_it_opens_without_messages_and_draws_every_figure(self, report_page):
        for name in ("time", "memory", "speedup", "error"):
            traces = report_page.figure(name)
            assert sum(y is not None for trace in traces for y in trace["y"]) > 20
            assert report_page.page.locator(f"#figure-{name} .scatterlayer path.js-line").count() > 4
            assert report_page.colours(name) > 20
        assert report_page.messages == []
        assert len(report_page.requests) == 1
        assert report_page.requests[0].startswith("file:")

    def test_figures_are_drawn_only_when_they_come_into_view(self, open_page, html):
        page = open_page(html, width=390).page
        page.wait_for_selector("#table tbody tr")
        assert page.locator("#figure-error .main-svg").count() == 0

    def test_failures_are_crosses_at_the_top_edge(self, report_page, run):
        report_page.choose("mode", "fwd_bwd")
        for name, inside in (("time", set()), ("error", {"wrong"})):
            traces = report_page.figure(name)
            crosses = {
                (trace["name"], x, text.split("<br>")[2].split(":")[0], trace["yaxis"])
                for trace in traces
                if trace["marker"] and trace["marker"]["symbol"] == "x-thin"
                for x, text in zip(trace["x"], trace["hovertext"], strict=True)
            }
            assert crosses == {
                (
                    f"{row.implementation} failed",
                    row.case.T,
                    row.status,
                    "y" if row.status in inside else "y2",
                )
                for row in run.measurements
                if row.case.mode == "fwd_bwd" and row.status in FAILURES
            }
            assert len(crosses) == 6
        markers = report_page.page.locator(
            "#figure-time .xy2 .scatterlayer .points path, #figure-time .x2y2 .scatterlayer .points path"
        )
        assert markers.count() == 6

    def test_a_line_breaks_where_a_row_failed(self, report_page):
        report_page.choose("mode", "fwd_bwd")
        line = next(trace for trace in report_page.figure("time") if trace["name"] == "softmax/efficient")
        assert [x for x, y in zip(line["x"], line["y"], strict=True) if y is None] == [8192]

    def test_unmeasured_rows_are_listed_with_their_reason(self, report_page):
        report_page.choose("mode", "fwd")
        report_page.figure("time")
        details = report_page.page.locator("#figure-time .missing")
        details.locator("summary").click()
        items = details.locator("li").all_inner_texts()
        assert (
            "linear/cuda, unsupported at T = 512; 1,024; 2,048; 4,096; 8,192; 16,384; 32,768: "
            "needs a CUDA device; this case is on the cpu" in items
        )
        assert "linear/recurrent, timeout at T = 16,384; 32,768: no answer within 60 s" in items
        assert "softmax/naive, skipped at T = 32,768: predicted 17.2 GiB, the worker may use 8.0 GiB" in items

    def test_the_table_of_a_figure_has_its_numbers(self, report_page, run):
        report_page.choose("mode", "fwd")
        report_page.figure("time")
        cells = report_page.page.locator("#figure-time .numbers td").all_text_contents()
        assert len(cells) == len(LENGTHS) * len(synthetic.COSTS)
        for measurement in run.measurements:
            if measurement.case.mode == "fwd" and (time := measurement.time):
                text = format.seconds_interval(time.median_s, time.ci_low_s, time.ci_high_s)
                assert f"{text}, n = 40" in cells
        assert cells.count("timeout") == 2

    def test_a_filter_changes_the_lines(self, report_page):
        report_page.choose("mode", "fwd")
        before = {trace["name"]: trace["y"] for trace in report_page.figure("time")}
        report_page.choose("mode", "decode")
        after = {trace["name"]: trace["y"] for trace in report_page.figure("time")}
        assert before["linear/chunk"] != after["linear/chunk"]
        assert (
            report_page.page.inner_text("#figure-time .panel")
            == "decode · float32 · cpu · B 1 · H 4 · K = V = 64"
        )

    def test_an_implementation_can_be_hidden(self, report_page):
        box = report_page.page.locator(".legend label", has_text="linear/chunk").locator("input")
        box.uncheck()
        assert "linear/chunk" not in {trace["name"] for trace in report_page.figure("time")}
        box.check()
        assert "linear/chunk" in {trace["name"] for trace in report_page.figure("time")}

    def test_the_speedup_over_each_baseline_equals_that_of_the_analysis(self, report_page, run):
        report_page.choose("mode", "fwd")
        series = panels(frame([run]))[0].series
        for baseline in ("softmax/flash", "linear/recurrent"):
            report_page.page.select_option("#baseline", label=baseline)
            line = next(trace for trace in report_page.figure("speedup") if trace["name"] == "linear/chunk")
            for number, x in enumerate(LENGTHS):
                if x not in series[baseline]:
                    assert line["y"][number] is None
                    continue
                expected = speedup(series["linear/chunk"][x], series[baseline][x])
                value = line["y"][number]
                assert value == pytest.approx(expected.value, rel=1e-4)
                assert value + line["error_y"]["array"][number] == pytest.approx(expected.high, rel=1e-4)
                assert value - line["error_y"]["arrayminus"][number] == pytest.approx(expected.low, rel=1e-4)
        assert "linear/recurrent has no time at this value" in report_page.page.text_content(
            "#figure-speedup .missing"
        )
        cells = report_page.page.locator("#figure-speedup .numbers td").all_text_contents()
        expected = speedup(series["softmax/flash"][512], series["linear/recurrent"][512])
        slower = speedup(series["linear/recurrent"][512], series["softmax/flash"][512])
        assert format.ratio_interval(expected.value, expected.low, expected.high) in cells
        report_page.page.select_option("#baseline", label="softmax/flash")
        report_page.figure("speedup")
        cells = report_page.page.locator("#figure-speedup .numbers td").all_text_contents()
        assert format.ratio_interval(slower.value, slower.low, slower.high) in cells

    def test_the_error_of_each_tensor_has_its_tolerance(self, report_page):
        report_page.choose("mode", "fwd_bwd")
        assert report_page.page.locator("#tensor option").all_inner_texts() == [
            "worst tensor",
            "o",
            "dq",
            "dk",
            "dv",
        ]
        shares = {trace["name"]: trace["y"] for trace in report_page.figure("error")}
        assert shares["tolerance"] == [1] * len(LENGTHS)
        title = report_page.page.locator("#figure-error .ytitle")
        assert title.text_content() == "error of the worst tensor / tolerance"
        assert shares["linear/chunk"][0] == pytest.approx(0.1)
        report_page.page.select_option("#tensor", "dk")
        errors = {trace["name"]: trace["y"] for trace in report_page.figure("error")}
        assert title.text_content() == "relative L2 error of dk"
        assert errors["tolerance, linear"] == [2e-6] * len(LENGTHS)
        assert errors["linear/chunk"][0] == pytest.approx(2e-7)
        assert errors["softmax/efficient failed"] == [4e-4]

    def test_every_row_is_in_the_table_and_can_be_searched(self, report_page, run):
        page = report_page.page
        texts = report_page.rows()
        assert len(texts) == len(run.measurements)
        for measurement, text in zip(run.measurements, texts, strict=True):
            name, case = measurement.implementation, measurement.case
            assert f"linbench run --impl {name} --T {case.T} --B 1 --H 4 --K 64 --V 64" in text
            assert f" --dtype float32 --mode {case.mode}" in text
            assert str(measurement.status) in text
            assert (measurement.reason or "") in text
        page.select_option("#status", "oom")
        assert page.locator("#table tbody tr").count() == 3
        page.fill("#search", "SOFTMAX/naive")
        assert page.locator("#table tbody tr").count() == 1
        assert page.inner_text("#count") == "1\u20131 of 1"
        page.fill("#search", "no such text")
        assert page.inner_text("#count") == "no rows"
        page.fill("#search", "")
        page.select_option("#status", "")

    def test_a_command_can_be_copied(self, report_page):
        report_page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        cell = report_page.page.locator("#table td.rerun").first
        cell.locator("button").click()
        cell.get_by_text("Copied").wait_for()
        assert (
            report_page.page.evaluate("navigator.clipboard.readText()") == cell.locator("code").inner_text()
        )

    def test_it_fits_a_phone_in_the_dark(self, open_page, html):
        report_page = open_page(html, width=390, scheme="dark")
        assert (
            report_page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        )
        for name in ("time", "error"):
            report_page.figure(name)
        assert report_page.page.evaluate("document.documentElement.scrollWidth") == 390
        assert report_page.messages == []

    def test_it_prints_in_light_colours(self, open_page, html):
        report_page = open_page(html, scheme="dark")
        assert report_page.figure("time")[0]["marker"]["color"] == DARK[0]
        report_page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert {report_page.figure(name)[-1]["marker"]["color"] for name in ("time", "error")} <= set(LIGHT)
        report_page.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert report_page.figure("time")[0]["marker"]["color"] == DARK[0]

    def test_hostile_names_and_reasons_remain_text(self, open_page):
        options = {"<b>x</b>": "<i>"}
        rows = [row(HOSTILE, 1e-3 * t, T=t, options=options) for t in (512, 1024)]
        rows += [row(MARKUP, 2e-3 * t, T=t, options=options) for t in (512, 1024)]
        rows.append(row(HOSTILE, T=2048, options=options, status=Status.ERROR, reason=REASON))
        plan = Plan(Grid(HOSTILE), "cpu", command=(HOSTILE,))
        environment = replace(BARE, libraries={HOSTILE: HOSTILE}, code=(Code(HOSTILE, HOSTILE),))
        report_page = open_page(render(run_of(rows, plan=plan, environment=environment), baseline=MARKUP))
        page = report_page.page
        for name in ("time", "memory", "error", "speedup"):
            report_page.figure(name)
        assert MARKUP in page.text_content("#figure-speedup .infolayer")
        labels = ""
        for number, trace in enumerate(report_page.figure("time")):
            page.evaluate(
                "([curveNumber, y]) => Plotly.Fx.hover(document.querySelector('#figure-time .plot'), "
                "[{curveNumber, pointNumber: 0}], 'x' + y)",
                [number, trace["yaxis"] or "y"],
            )
            page.wait_for_timeout(150)
            labels += page.text_content("#figure-time .hoverlayer")
        assert "linear/<img src=x" in labels
        assert MARKUP in labels
        assert "error: </script>" in labels
        page.fill("#search", "onerror")
        page.locator("#figure-time .missing summary").click()
        assert page.evaluate("window.pwned") is None
        assert page.locator("img, main a[href^='javascript'], .plot a, #table script, #table i").count() == 0
        assert page.locator("h1").inner_text() == HOSTILE
        assert page.locator("#table td.name").first.inner_text() == HOSTILE
        assert HOSTILE in page.locator("#table code").first.inner_text()
        assert REASON.strip() in page.locator("#figure-time .missing").text_content()
        assert report_page.messages == []
        assert len(report_page.requests) == 1

    @pytest.mark.parametrize(
        "empty_run",
        [
            EMPTY,
            run_of([row("a/x", status=Status.UNSUPPORTED)]),
            run_of([row("a/x", status=Status.CRASHED)]),
            run_of([replace(row("a/x"), time=None, memory=None)]),
            run_of([row("a/x", 0.0, extra=0, n=1)]),
        ],
        ids=["empty", "unsupported", "crashed", "untimed", "zero"],
    )
    def test_a_run_without_data_has_a_page(self, open_page, empty_run):
        report_page = open_page(render(empty_run))
        for name in ("time", "error"):
            report_page.figure(name)
        assert len(report_page.rows()) == len(empty_run.measurements)
        assert report_page.messages == []
