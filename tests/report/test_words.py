from dataclasses import replace

from synthetic import ENVIRONMENT, LENGTHS, PLAN, code, realistic, row, run_of, table

from linbench.analysis import panels
from linbench.core.measurement import Status
from linbench.core.provenance import Code
from linbench.report.words import doubts, findings, label
from linbench.store.table import frame

MANY = replace(PLAN, settings=replace(PLAN.settings, processes=5))


def with_code(*codes):
    return replace(ENVIRONMENT, code=codes)


def doubts_of(*rows, **kwargs):
    run = run_of(rows, **{"plan": MANY} | kwargs)
    return " ".join(doubts(run, panels(frame([run]))))


def test_a_clean_run_has_no_doubts():
    assert doubts_of(row("a/x")) == ""


def test_each_doubt_is_a_sentence():
    failed = row("a/x", status=Status.OOM), row("b/x", status=Status.WRONG), row("b/x", status=Status.SKIPPED)
    assert doubts_of(row("a/x"), *failed) == "2 of 4 rows failed: 1 oom and 1 wrong."
    assert (
        doubts_of(replace(row("a/x"), flags=("contended", "unstable")))
        == "1 row flagged: 1 contended and 1 unstable."
    )
    assert "single process" in doubts_of(row("a/x"), plan=PLAN)
    assert "single process" not in doubts_of(row("a/x", status=Status.SKIPPED), plan=PLAN)
    assert "did not finish" in doubts_of(row("a/x"), finished_at=None)
    assert "uncommitted" in doubts_of(row("a/x"), environment=with_code(code("b/y"), code("a/x", dirty=True)))
    assert doubts_of(row("a/x"), environment=with_code(Code("loose.py", implementations=("a/x",)))) == ""
    assert doubts_of(row("a/x"), environment=with_code()) == ""
    assert "fewer than 6" in doubts_of(row("a/x", n=5))
    first, second = row("a/x"), row("b/x")
    assert "different timers" in doubts_of(
        first, replace(second, time=replace(second.time, timer="cuda_events_cold"))
    )
    nondeterministic = replace(row("b/x"), deterministic=False)
    assert (
        doubts_of(first, nondeterministic, replace(first, deterministic=True))
        == "Not deterministic (different bits for the same inputs): b/x."
    )
    assert "rss" in doubts_of(first, replace(second, memory=replace(second.memory, meter="rss")))


def test_a_crossover_is_reported_with_the_values_around_it():
    panel = panels(frame([realistic()]))[0]
    result = findings(panel, "softmax/flash")
    assert result.headline == "softmax/flash is fastest up to T = 2,048, linear/chunk from 4,096."
    # The two costs meet at T = 2,760; straight lines on log axes between the values put it at 2,730.
    assert result.against[0] == (
        "linear/chunk overtakes softmax/flash at T = 2,730 [2,710, 2,760], "
        "between the measured values 2,048 and 4,096."
    )
    assert any(
        text.startswith("Slower than softmax/flash wherever both were timed: linear/naive,")
        for text in result.against
    )
    assert (
        "Not timed at any T at which softmax/flash was timed: linear/cuda and linear/triton."
        in result.against
    )


def test_a_crossover_of_the_fastest_is_reported_for_every_baseline():
    result = findings(panels(frame([realistic()]))[0], "softmax/math")
    assert any(
        text.startswith("linear/chunk overtakes softmax/flash at T = 2,730") for text in result.against
    )


def test_a_missing_crossover_is_reported():
    rows = [
        row(name, cost, T=t)
        for t in LENGTHS
        for name, cost in (("a/x", 1e-3), ("b/y", 2e-3), ("c/z", 1.001e-3))
    ]
    result = findings(panels(table(rows))[0], "a/x")
    assert result.headline.startswith("a/x is fastest at every T; intervals overlap at T = 512, 1,024")
    assert result.against == (
        "Slower than a/x wherever both were timed: b/y.",
        "No clear crossover between c/z and a/x: their intervals overlap at "
        "T = 512, 1,024, 2,048, 4,096, 8,192, 16,384 and 32,768.",
    )
    assert findings(panels(table([row("a/x", status=Status.OOM)]))[0], None).headline == "Nothing was timed."


def test_a_label_names_every_setting():
    assert label(panels(table([row("a/x")]))[0].settings) == "fwd · float32 · cpu · B 1 · H 4 · K = V = 64"
    rows = [row("a/x", K=32, V=128, seed=s, options={"p": s}) for s in (0, 7)]
    assert (
        label(panels(table(rows))[1].settings)
        == "fwd · float32 · cpu · B 1 · H 4 · K 32 · V 128 · p=7 · seed 7"
    )
