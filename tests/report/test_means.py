import pytest
from synthetic import row, run_of, sweep, table

from linbench.analysis import panels
from linbench.report.means import means
from linbench.report.page import render
from linbench.text.format import TIMES

XS = (512, 1024, 2048)


def rows():
    """b is 2x, 4x and 8x as fast as a at B 1, and 4x at B 2, where it has no time at 2,048."""
    result = sweep("s/a", lambda x: 1e-6 * x, xs=XS, spread=0.0)
    result += [row("s/b", 1e-6 * x * 256 / x, T=x, spread=0.0) for x in XS]
    result += sweep("s/a", lambda x: 4e-6 * x, xs=XS, spread=0.0, B=2)
    return result + sweep("s/b", lambda x: 1e-6 * x, xs=XS[:2], spread=0.0, B=2)


def test_means_are_over_the_common_points_and_list_them():
    (mean,) = means(panels(table(rows())), "s/a")
    fastest, base = mean.speedups
    assert fastest == ("s/b", "4.00\u00d7 [4.00, 4.00]")  # (2 * 4 * 8 * 4 * 4) ** (1 / 5)
    assert base[0] == "s/a"
    assert mean.over == "Mean over 5 of 6 points, at which all 2 implementations have a time."
    assert [line.rpartition(": ")[2] for line in mean.points] == [
        "T = 512, 1,024 and 2,048",
        "T = 512 and 1,024",
    ]
    assert mean.lost == ("s/b has no time at 1 point.",)


def test_without_a_common_point_there_is_no_mean():
    (mean,) = means(panels(table([row("s/a", T=512), row("s/b", T=1024)])), "s/a")
    assert mean.speedups == ()
    assert mean.over == "No mean: there is no point at which all 2 implementations have a time."
    assert means(panels(table([row("s/a")])), "s/a") == []


@pytest.mark.browser
def test_the_heatmap_has_every_shape(open_page):
    report_page = open_page(render(run_of(rows()), baseline="s/a"), width=390)
    report_page.page.locator("#figure-heatmap").scroll_into_view_if_needed()
    report_page.page.wait_for_selector(".heatmap")
    cells = report_page.page.locator(".heatmap tbody tr").all_inner_texts()
    assert [text.replace(TIMES, "x").replace("\u2013", "-") for text in cells] == [
        "B 1\t2.00x\t4.00x\t8.00x",
        "B 2\t4.00x\t4.00x\t-",
    ]
    heats = report_page.page.locator(".heatmap td.value").evaluate_all(
        "all => all.map(td => td.dataset.heat)"
    )
    assert heats == ["2", "4", "4", "4", "4"]
    report_page.page.select_option("#baseline", "s/b")
    report_page.settle("heatmap")
    assert f"1.00{TIMES}" in report_page.page.inner_text(".heatmap")
    assert report_page.page.evaluate("document.documentElement.scrollWidth") == 390
    assert report_page.messages == []
