import math
import re
from dataclasses import replace

import pytest
import synthetic
from embedding import embedded, packed
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
MARKUP = "linear/<b>bold</b><a href='//example.org'>x</a>"  # what plotly would take for its own
REASON = "</script><script>window.pwned=2</script><a href='javascript:window.pwned=3'>&amp; \u2028 ${1}"
EMPTY = run_of([], plan=BARE_PLAN, environment=BARE)


class TestText:
    """What needs no browser."""

    def test_it_is_one_file_of_moderate_size(self, html):
        assert len(html.encode()) < 6 * 2**20
        assert not re.search(
            r"<(?:script|link|img)[^>]+(?:src|href)=[\"'](?!data:)",
            html.split('<script type="application/gzip"')[0],
        )

    def test_the_same_run_gives_the_same_page(self, run, html):
        assert render(run) == html

    def test_every_row_is_in_the_data(self, run, html):
        data = embedded(html)
        assert {len(column) for column in data["rows"].values()} == {len(run.measurements)}
        assert len(embedded(html, "csv")) == 1 + len(run.measurements)
        assert sorted(number for panel in data["panels"] for number in panel["rows"]) == list(
            range(len(run.measurements))
        )

    def test_no_number_that_is_not_finite_reaches_the_data(self):
        wrong = replace(row("a/x", status=Status.WRONG), errors={"o": error(math.nan, math.inf, 3)})
        huge = row("b/y", math.inf)
        html = render(run_of([wrong, huge]))
        found = embedded(html)  # JSON is written without what is not finite, or not at all
        assert found["errors"]["o"]["values"]["y"] == [None, 3e-7]
        assert found["errors"]["o"]["budget"] == [None, 2e-6]
        assert found["values"]["time"]["y"] == [None, None]

    def test_what_it_embeds_cannot_end_its_element(self):
        html = render(run_of([row(HOSTILE), row("linear/x", status=Status.ERROR, reason=REASON)]))
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed(html))
        assert embedded(html)["implementations"][0]["name"] == HOSTILE
        assert HOSTILE not in html

    def test_a_row_names_the_command_that_measures_it_again(self):
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

    def test_the_environment_is_there_whole(self):
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

    def test_the_verdict_is_against_the_baseline_that_was_asked_for(self, run):
        assert "Over softmax/math [95%]" in render(run, baseline="softmax/math")
        assert "Over softmax/flash [95%]" in render(run)
        assert "Over softmax/flash [95%]" in render(run, baseline="no/such")

    def test_colours_and_markers_stay_distinct(self, html):
        assert len(LIGHT) == len(DARK)
        data = embedded(html)
        assert [style["name"] for style in data["implementations"]][-2:] == ["linear/cuda", "linear/triton"]
        drawn = styles(str(number) for number in range(70))
        assert len({(style.colour, style.marker) for style in drawn}) == 70


@pytest.fixture(scope="module")
def opened(open_page, html):
    return open_page(html)


@pytest.mark.browser
class TestBrowser:
    def test_it_opens_in_silence_and_draws_every_figure(self, opened):
        for name in ("time", "memory", "speedup", "error"):
            traces = opened.figure(name)
            assert sum(y is not None for trace in traces for y in trace["y"]) > 20
            assert opened.page.locator(f"#figure-{name} .scatterlayer path.js-line").count() > 4
            assert opened.colours(name) > 20
        assert opened.complaints == []
        assert len(opened.requests) == 1
        assert opened.requests[0].startswith("file:")

    def test_figures_are_drawn_only_when_they_come_into_view(self, open_page, html):
        page = open_page(html, width=390).page
        page.wait_for_selector("#table tbody tr")
        assert page.locator("#figure-error .main-svg").count() == 0

    def test_failures_are_crosses_at_the_top_edge(self, opened, run):
        opened.choose("mode", "fwd_bwd")
        for name, inside in (("time", set()), ("error", {"wrong"})):
            traces = opened.figure(name)
            drawn = {
                (trace["name"], x, text.split("<br>")[2].split(":")[0], trace["yaxis"])
                for trace in traces
                if trace["marker"] and trace["marker"]["symbol"] == "x-thin"
                for x, text in zip(trace["x"], trace["hovertext"], strict=True)
            }
            assert drawn == {
                (
                    f"{one.implementation} failed",
                    one.case.T,
                    one.status,
                    "y" if one.status in inside else "y2",
                )
                for one in run.measurements
                if one.case.mode == "fwd_bwd" and one.status in FAILURES
            }
            assert len(drawn) == 6
        crosses = opened.page.locator(
            "#figure-time .xy2 .scatterlayer .points path, #figure-time .x2y2 .scatterlayer .points path"
        )
        assert crosses.count() == 6

    def test_a_line_breaks_where_a_row_failed(self, opened):
        opened.choose("mode", "fwd_bwd")
        line = next(trace for trace in opened.figure("time") if trace["name"] == "softmax/efficient")
        assert [x for x, y in zip(line["x"], line["y"], strict=True) if y is None] == [8192]

    def test_what_was_not_measured_is_listed_with_the_reason(self, opened):
        opened.choose("mode", "fwd")
        opened.figure("time")
        details = opened.page.locator("#figure-time .missing")
        details.locator("summary").click()
        items = details.locator("li").all_inner_texts()
        assert (
            "linear/cuda, unsupported at T = 512; 1,024; 2,048; 4,096; 8,192; 16,384; 32,768: "
            "needs a CUDA device; this case is on the cpu" in items
        )
        assert "linear/recurrent, timeout at T = 16,384; 32,768: no answer within 60 s" in items
        assert "softmax/naive, skipped at T = 32,768: predicted 17.2 GiB, the worker may use 8.0 GiB" in items

    def test_the_table_behind_a_figure_has_its_numbers(self, opened, run):
        opened.choose("mode", "fwd")
        opened.figure("time")
        cells = opened.page.locator("#figure-time .numbers td").all_text_contents()
        assert len(cells) == len(LENGTHS) * len(synthetic.COSTS)
        for one in run.measurements:
            if one.case.mode == "fwd" and one.time:
                text = format.seconds_interval(one.time.median_s, one.time.ci_low_s, one.time.ci_high_s)
                assert f"{text}, n = 40" in cells
        assert cells.count("timeout") == 2

    def test_a_filter_changes_what_is_drawn(self, opened):
        opened.choose("mode", "fwd")
        before = {trace["name"]: trace["y"] for trace in opened.figure("time")}
        opened.choose("mode", "decode")
        after = {trace["name"]: trace["y"] for trace in opened.figure("time")}
        assert before["linear/chunk"] != after["linear/chunk"]
        assert (
            opened.page.inner_text("#figure-time .panel") == "decode · float32 · cpu · B 1 · H 4 · K = V = 64"
        )

    def test_an_implementation_can_be_hidden(self, opened):
        box = opened.page.locator(".legend label", has_text="linear/chunk").locator("input")
        box.uncheck()
        assert "linear/chunk" not in {trace["name"] for trace in opened.figure("time")}
        box.check()
        assert "linear/chunk" in {trace["name"] for trace in opened.figure("time")}

    def test_the_baseline_changes_the_speedup_as_the_analysis_has_it(self, opened, run):
        opened.choose("mode", "fwd")
        series = panels(frame([run]))[0].series
        for baseline in ("softmax/flash", "linear/recurrent"):
            opened.page.select_option("#baseline", label=baseline)
            line = next(trace for trace in opened.figure("speedup") if trace["name"] == "linear/chunk")
            for number, x in enumerate(LENGTHS):
                if x not in series[baseline]:
                    assert line["y"][number] is None
                    continue
                expected = speedup(series["linear/chunk"][x], series[baseline][x])
                value = line["y"][number]
                assert value == pytest.approx(expected.value, rel=1e-4)
                assert value + line["error_y"]["array"][number] == pytest.approx(expected.high, rel=1e-4)
                assert value - line["error_y"]["arrayminus"][number] == pytest.approx(expected.low, rel=1e-4)
        assert "linear/recurrent has no time there" in opened.page.text_content("#figure-speedup .missing")
        cells = opened.page.locator("#figure-speedup .numbers td").all_text_contents()
        expected = speedup(series["softmax/flash"][512], series["linear/recurrent"][512])
        slower = speedup(series["linear/recurrent"][512], series["softmax/flash"][512])
        assert format.ratio_interval(expected.value, expected.low, expected.high) in cells
        opened.page.select_option("#baseline", label="softmax/flash")
        opened.figure("speedup")
        cells = opened.page.locator("#figure-speedup .numbers td").all_text_contents()
        assert format.ratio_interval(slower.value, slower.low, slower.high) in cells

    def test_the_error_of_each_tensor_has_its_budget(self, opened):
        opened.choose("mode", "fwd_bwd")
        assert opened.page.locator("#tensor option").all_inner_texts() == [
            "worst tensor",
            "o",
            "dq",
            "dk",
            "dv",
        ]
        shares = {trace["name"]: trace["y"] for trace in opened.figure("error")}
        assert shares["budget"] == [1] * len(LENGTHS)
        title = opened.page.locator("#figure-error .ytitle")
        assert title.text_content() == "error of the worst tensor / budget"
        assert shares["linear/chunk"][0] == pytest.approx(0.1)
        opened.page.select_option("#tensor", "dk")
        errors = {trace["name"]: trace["y"] for trace in opened.figure("error")}
        assert title.text_content() == "relative L2 error of dk"
        assert errors["budget, linear"] == [2e-6] * len(LENGTHS)
        assert errors["linear/chunk"][0] == pytest.approx(2e-7)
        assert errors["softmax/efficient failed"] == [4e-4]

    def test_every_row_is_in_the_table_and_can_be_found(self, opened, run):
        page = opened.page
        texts = opened.rows()
        assert len(texts) == len(run.measurements)
        for one, text in zip(run.measurements, texts, strict=True):
            assert one.implementation in text
            assert (
                f"--T {one.case.T} --B 1 --H 4 --K 64 --V 64 --dtype float32 --mode {one.case.mode}" in text
            )
            assert str(one.status) in text
            assert (one.reason or "") in text
        page.select_option("#status", "oom")
        assert page.locator("#table tbody tr").count() == 3
        page.fill("#search", "SOFTMAX/naive")
        assert page.locator("#table tbody tr").count() == 1
        assert page.inner_text("#count") == "1\u20131 of 1"
        page.fill("#search", "nothing has this")
        assert page.inner_text("#count") == "no row"
        page.fill("#search", "")
        page.select_option("#status", "")

    def test_a_command_can_be_copied(self, opened):
        opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        cell = opened.page.locator("#table td.again").first
        cell.locator("button").click()
        cell.get_by_text("Copied").wait_for()
        assert opened.page.evaluate("navigator.clipboard.readText()") == cell.locator("code").inner_text()

    def test_it_fits_a_phone_in_the_dark(self, open_page, html):
        opened = open_page(html, width=390, scheme="dark")
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        for name in ("time", "error"):
            opened.figure(name)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
        assert opened.complaints == []

    def test_it_prints_in_light_colours(self, open_page, html):
        opened = open_page(html, scheme="dark")
        assert opened.figure("time")[0]["marker"]["color"] == DARK[0]
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert {opened.figure(name)[-1]["marker"]["color"] for name in ("time", "error")} <= set(LIGHT)
        opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert opened.figure("time")[0]["marker"]["color"] == DARK[0]

    def test_hostile_names_and_reasons_are_text(self, open_page):
        options = {"<b>x</b>": "<i>"}
        rows = [row(HOSTILE, 1e-3 * t, T=t, options=options) for t in (512, 1024)]
        rows += [row(MARKUP, 2e-3 * t, T=t, options=options) for t in (512, 1024)]
        rows.append(row(HOSTILE, T=2048, options=options, status=Status.ERROR, reason=REASON))
        plan = Plan(Grid(HOSTILE), "cpu", command=(HOSTILE,))
        environment = replace(BARE, libraries={HOSTILE: HOSTILE}, code=(Code(HOSTILE, HOSTILE),))
        opened = open_page(render(run_of(rows, plan=plan, environment=environment), baseline=MARKUP))
        page = opened.page
        for name in ("time", "memory", "error", "speedup"):
            opened.figure(name)
        assert MARKUP in page.text_content("#figure-speedup .infolayer")
        labels = ""
        for number, trace in enumerate(opened.figure("time")):
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
        assert opened.complaints == []
        assert len(opened.requests) == 1

    @pytest.mark.parametrize(
        "run_",
        [
            EMPTY,
            run_of([row("a/x", status=Status.UNSUPPORTED)]),
            run_of([row("a/x", status=Status.CRASHED)]),
            run_of([replace(row("a/x"), time=None, memory=None)]),
            run_of([row("a/x", 0.0, extra=0, n=1)]),
        ],
        ids=["empty", "unsupported", "crashed", "untimed", "zero"],
    )
    def test_it_stands_a_run_with_nothing_to_draw(self, open_page, run_):
        opened = open_page(render(run_))
        for name in ("time", "error"):
            opened.figure(name)
        assert len(opened.rows()) == len(run_.measurements)
        assert opened.complaints == []
