import pytest
from synthetic import row, run_of, sweep, table

from linbench.analysis import panels
from linbench.report.means import means
from linbench.report.page import render
from linbench.text.format import TIMES

XS = (512, 1024, 2048)


def rows():
    """b is 2 x, 4 x and 8 x as fast as a at B 1, and has no time at 2,048 of B 2, where it is 4 x as fast."""
    found = sweep("s/a", lambda x: 1e-6 * x, xs=XS, spread=0.0)
    found += [row("s/b", 1e-6 * x * 256 / x, T=x, spread=0.0) for x in XS]
    found += sweep("s/a", lambda x: 4e-6 * x, xs=XS, spread=0.0, B=2)
    return found + sweep("s/b", lambda x: 1e-6 * x, xs=XS[:2], spread=0.0, B=2)


def test_means_are_over_the_points_that_all_did_and_name_them():
    (found,) = means(panels(table(rows())), "s/a")
    fastest, base = found.speedups
    assert fastest == ("s/b", "4.00\u00d7 [4.00, 4.00]")  # (2 * 4 * 8 * 4 * 4) ** (1 / 5)
    assert base[0] == "s/a"
    assert found.over == "Over the 5 points of 6 at which all 2 have a time."
    assert [line.rpartition(": ")[2] for line in found.points] == [
        "T = 512, 1,024 and 2,048",
        "T = 512 and 1,024",
    ]
    assert found.lost == ("s/b has no time at 1 point",)


def test_without_a_common_point_there_is_no_mean():
    (found,) = means(panels(table([row("s/a", T=512), row("s/b", T=1024)])), "s/a")
    assert found.speedups == ()
    assert found.over == "There is none: all 2 have a time at no point."
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
    assert report_page.complaints == []
