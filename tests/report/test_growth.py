import pytest
from embedding import dense
from synthetic import run_of, sweep, table

from linbench.analysis import panels
from linbench.report.growth import growths
from linbench.report.page import render


class Linear:
    name = "linear"
    complexity = "O(T)"


def growths_of(rows, complexity="O(T)"):
    return growths(panels(table(rows))[0], {"linear": complexity})


def test_a_broken_claim_is_reported_in_a_sentence():
    (growth,) = growths_of(sweep("linear/x", lambda x: 1e-6 * x**1.4, spread=0.0))
    assert growth.exponent == "1.40 [1.40, 1.40]"
    assert growth.fitted == "512 to 32,768 (7 values)"
    assert growth.claim == "T^1"
    assert growth.broken == (
        "The time of linear/x grows as T^1.40 [1.40, 1.40] from T = 512 to 32,768, but linear claims O(T)."
    )


@pytest.mark.parametrize(
    ("power", "complexity", "mode", "broken"),
    [
        (1.0, "O(T)", "fwd", False),
        (2.0, "O(T^2)", "fwd", False),
        (0.0, "O(T)", "decode", False),
        (1.0, "O(T)", "decode", True),
        (1.0, "O(T^2)", "decode", False),
        (2.0, "O(T^3.14)", "fwd", False),
    ],
)
def test_a_decode_step_may_cost_one_power_less(power, complexity, mode, broken):
    rows = sweep("linear/x", lambda x: 1e-6 * x**power, mode=mode)
    assert bool(growths_of(rows, complexity)[0].broken) is broken


def test_without_three_values_or_a_claim_nothing_is_reported():
    (few,) = growths_of(sweep("linear/x", lambda x: x**2 * 1e-9, xs=(512, 1024)))
    assert (few.exponent, few.fitted, few.broken) == ("too few values", "", "")
    (unknown,) = growths(panels(table(sweep("linear/x", lambda x: x**2 * 1e-9)))[0], {})
    assert (unknown.claim, unknown.broken) == ("", "")


def test_the_page_has_the_tables_and_marks_the_broken_claim():
    rows = sweep("linear/square", lambda x: 1e-9 * x**2) + sweep("linear/line", lambda x: 2.5e-6 * x)
    html = render(run_of(rows), operators=[Linear()])
    assert '<li class="failed">The time of linear/square grows as T^2.00' in html
    assert html.count("✕ grows faster") == 1
    assert html.count("not contradicted") == 1
    assert '<tr><th scope="row">linear/line</th><td>linear/square</td><td class="value">2,500 [' in dense(
        html
    )
