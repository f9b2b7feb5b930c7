"""`linbench report --compare`, as a user types it."""

import pytest
from synthetic import ENVIRONMENT, PLAN, row

from linbench.store.store import Store


@pytest.fixture
def runs(linbench):
    """Three stored runs; the first two have a row in common."""
    (linbench.folder / "results").mkdir()
    store = Store(str(linbench.folder / "results" / "linbench.db"), write=True)
    ids = []
    for names in (("linear/x", "linear/y"), ("linear/x",), ("linear/z",)):
        run = store.begin(ENVIRONMENT, PLAN).id
        store.append(run, [row(name) for name in names])
        store.finish(run)
        ids.append(run)
    return ids


def test_two_runs_are_reported_side_by_side_and_added_to_the_index(linbench, runs):
    a, b, _ = runs
    out, _ = linbench("report", "--compare", a, b)
    assert out.strip() == f"reports/{a}-vs-{b}.html"
    assert "1 row compared" in (linbench.folder / out.strip()).read_text()
    assert f'href="./{a}-vs-{b}.html"' in (linbench.folder / "reports" / "index.html").read_text()
    assert linbench("report", "--compare", a, b, "-o", "two.html")[0].strip() == "two.html"


def test_a_mistake_is_one_line_that_names_the_next_step(linbench, runs):
    a, b, c = runs
    for arguments, message in {
        (a, "latest-but-one"): "unknown run 'latest-but-one'; `linbench list runs` lists them",
        ("latest", c): f"'latest' and '{c}' are the same run, {c}; `linbench list runs` lists the others",
        (a, c): f"runs {a} and {c} have no implementation at the same case in common",
        (a, b, a): f"--compare names both runs; leave out {a}",
        (a, b, "--baseline", "linear/x"): "leave it out with --compare",
        (a,): "option '--compare' requires 2 arguments",
    }.items():
        out, err = linbench("report", "--compare", *arguments, code=2)
        assert message in err
        assert "Traceback" not in err
        assert out == ""
    assert not (linbench.folder / "reports").exists()
