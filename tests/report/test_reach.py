"""The figure of the largest size at which each implementation fits in memory."""

from dataclasses import replace

import pytest
from synthetic import row, run_of, sweep

from linbench.core.measurement import Cause, Status
from linbench.report.data import report_data
from linbench.report.page import render

PREDICTED = "predicted to need 17.2 GiB; 8.0 GiB may be used"


def predicted(name, **case):
    skipped = row(name, status=Status.SKIPPED, reason=PREDICTED, **case)
    return replace(skipped, cause=Cause.PREDICTED_MEMORY)


def rows():
    return [
        *sweep("a/free", lambda x: 1e-6 * x, xs=(512, 1024, 2048, 4096)),
        *sweep("b/full", lambda x: 1e-6 * x, xs=(512, 1024)),
        row("b/full", T=2048, status=Status.OOM, reason="<b>not</b> enough memory"),
        *sweep("c/large", lambda x: 1e-6 * x, xs=(512,)),
        predicted("c/large", T=1024),
        row("d/never", T=512, status=Status.OOM, reason="not enough memory"),
        row("e/absent", T=512, status=Status.UNSUPPORTED, reason="needs a CUDA device"),
        row("f/broken", T=512, status=Status.CRASHED, reason="signal 11"),
    ]


def test_the_figure_exists_if_a_row_was_out_of_memory_or_predicted_to_be():
    def has_figure(measurement):
        run = run_of([row("a/x"), measurement])
        return "reach" in [figure.id for figure in report_data(run).drawing.figures]

    assert has_figure(row("b/x", status=Status.OOM))
    assert has_figure(predicted("b/x"))
    assert not has_figure(row("b/x", status=Status.SKIPPED, reason="a shorter T timed out"))
    assert not has_figure(row("b/x", status=Status.TIMEOUT))


@pytest.mark.browser
def test_bars_end_in_a_cross_if_out_of_memory_and_in_an_arrow_otherwise(open_page):
    report_page = open_page(render(run_of(rows())))
    bars, crosses, arrows = report_page.figure("reach")
    assert dict(zip(bars["y"], bars["x"], strict=True)) == {
        "a/free": 4096 - 256,
        "b/full": 1024 - 256,
        "c/large": 512 - 256,
    }
    assert dict(zip(crosses["y"], crosses["x"], strict=True)) == {
        "b/full": 2048,
        "c/large": 1024,
        "d/never": 512,
    }
    assert (arrows["y"], arrows["x"]) == (["a/free"], [4096])
    hovers = dict(zip(crosses["y"], crosses["hovertext"], strict=True))
    assert "out of memory at T = 2,048: &lt;b&gt;not&lt;/b&gt; enough memory" in hovers["b/full"].replace(
        "<br>", " "
    )
    assert PREDICTED in hovers["c/large"].replace("<br>", " ")
    page = report_page.page
    assert page.locator("#figure-reach .barlayer .point path").count() == 3
    assert page.locator("#figure-reach .textpoint").all_text_contents() == [
        *("\u00a0512", "\u00a01k", "\u00a02k", "\u2265 4k")
    ]
    assert page.locator("#figure-reach .numbers tbody tr").all_text_contents() == [
        "a/free4,096never\u2013",
        "b/full1,0242,048<b>not</b> enough memory",
        f"c/large5121,024{PREDICTED}",
        "d/nevernone512not enough memory",
    ]
    missing = page.text_content("#figure-reach .missing")
    assert "e/absent, unsupported at T = 512: needs a CUDA device" in missing
    assert "f/broken, crashed at T = 512: signal 11" in missing
    assert page.get_attribute("#figure-reach .plot", "aria-label").startswith("Largest T at which each")
    page.locator(".legend label", has_text="b/full").locator("input").uncheck()
    assert report_page.figure("reach")[0]["y"] == ["c/large", "a/free"]
    assert report_page.messages == []


@pytest.mark.browser
def test_every_bar_has_its_name(open_page):
    names = [f"a/{number:02}" for number in range(30)]
    full = [row(name, T=1024, status=Status.OOM, reason="not enough memory") for name in names]
    report_page = open_page(render(run_of([*full, *(row(name, T=512) for name in names)])))
    report_page.figure("reach")
    assert set(report_page.page.locator("#figure-reach .yaxislayer-above text").all_text_contents()) == set(
        names
    )
