from dataclasses import replace

import pytest
from synthetic import row, run_of

from linbench.report.page import render


def rows():
    """An approximation whose distance falls with T, and softmax itself."""
    approximate = [replace(row("performer/chunk", T=t), approximation={"o": 64 / t}) for t in (512, 1024)]
    return [*approximate, *(row("softmax/flash", T=t) for t in (512, 1024))]


@pytest.mark.browser
def test_an_approximation_is_drawn_and_listed_next_to_the_numerical_error(open_page):
    report_page = open_page(render(run_of(rows())))
    (line,) = report_page.figure("approximation")
    assert (line["name"], line["y"]) == ("performer/chunk", [0.125, 0.0625])
    assert "not an approximation" in report_page.page.text_content("#figure-approximation .missing")
    texts = report_page.rows()
    assert ["approximation 0.125" in text for text in texts] == [True, False, False, False]
    assert report_page.messages == []


def test_without_an_approximation_there_is_no_such_figure():
    assert "figure-approximation" not in render(run_of(rows()[2:]))
