"""What a machine is said to be, from rows that are made up, and once from real ones."""

import json
import math
import random
from dataclasses import replace

import pytest

from linbench.cli import _run
from linbench.core.case import Case
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.samples import Samples
from linbench.core.telemetry import Range, Telemetry
from linbench.selftest import machine
from linbench.selftest.machine import SIDES, described, measure_machine, verdict
from linbench.statistics.interval import process_interval

CASE = Case(1, 512, 4, 64, 64)
CALM = Telemetry(during={"others_cores": Range(0.0, 0.02, 0.1), "steal_cores": Range(0.0, 0.0, 0.0)})
BUSY = Telemetry(during={"others_cores": Range(0.5, 1.25, 2.0), "steal_cores": Range(0.0, 0.25, 0.5)})


def row(side, medians, telemetry=CALM, flags=()):
    """Return a row whose processes took three samples each, around these medians."""
    samples = Samples(tuple(value for median in medians for value in (0.5 * median, median, 7 * median)))
    low, high = process_interval(medians)
    time = Time("cpu", sorted(medians)[2], low, high, (3,) * len(medians), samples=samples)
    return Measurement("aa_test", side, CASE, Status.OK, time=time, telemetry=telemetry, flags=flags)


def runs_of(within, between=0.02, shift=0.0, runs=6, **extra):
    """Return runs of five processes with this noise; each run is slower than the one before by `shift`."""
    source = random.Random(3)
    found = []
    for number in range(runs):
        base = [5e-3 * (1 + shift) ** number * math.exp(between * source.gauss(0, 1)) for _ in range(5)]
        sides = [[one * math.exp(within * source.gauss(0, 0.5**0.5)) for one in base] for _ in SIDES]
        rows = [row(name, side, **extra) for name, side in zip(SIDES, sides, strict=True)]
        found.append(rows[::-1] if number % 2 else rows)
    return found


def machine_of(within, **extra):
    return described(runs_of(within, **extra), (200e-9, 1e-9), 60.0, 2)


def test_what_is_said_of_a_calm_machine():
    found = machine_of(0.01)
    assert (found.runs, found.processes, found.rows) == (6, 5, 12)
    assert (found.device, found.timer, found.overhead_s, found.wall_s) == ("cpu", "cpu", 200e-9, 60.0)
    assert found.call_s == pytest.approx(5e-3, rel=0.02)
    assert found.noise[1] < 0.01 < found.noise[2]
    assert found.effects.keys() == {5, 10, 20}
    assert found.effects[10] == pytest.approx(1.286 * found.noise[0], rel=0.02)
    low, high = found.difference[1:]
    assert low < 0 < high
    assert found.rows_covering >= 10
    assert (found.rows_contended, found.throttled) == (0, False)
    assert found.others_cores == pytest.approx(0.02)


def test_drift_is_what_lies_between_the_runs():
    assert machine_of(0.0, between=0.0).drift == pytest.approx(0.0)
    assert machine_of(0.0, between=0.0, shift=0.02).drift == pytest.approx(1.02**5 - 1)
    drifting = machine_of(0.001, between=0.001, shift=0.02)
    assert drifting.rows_covering <= 2  # each row is sure of a value of its own


def test_a_row_is_of_the_side_that_it_names():
    medians = [5e-3] * 4 + [6e-3]
    runs = [
        [row(name, [value * factor for value in medians]) for name, factor in order]
        for order in (((SIDES[0], 1.1), (SIDES[1], 1.0)), ((SIDES[1], 1.0), (SIDES[0], 1.1)))
    ]
    assert described(runs, (1e-7, 1e-9), 1.0, 2).difference == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("within", "extra", "word", "reasons"),
    [
        (0.01, {}, "yes", ["10 processes tell 1.", "within 2%"]),
        (0.025, {}, "with care", ["more than 2%"]),
        (0.06, {}, "no", ["more than 5%"]),
        (
            0.01,
            {"telemetry": BUSY, "flags": ("contended",)},
            "with care",
            ["others used 1.5 of 2 processors"],
        ),
        (0.01, {"flags": ("throttled",)}, "with care", ["clocks were held down"]),
        (0.06, {"flags": ("throttled",)}, "no", ["more than 5%", "clocks were held down"]),
    ],
)
def test_the_verdict_goes_by_the_thresholds(within, extra, word, reasons):
    found, why = verdict(machine_of(within, **extra))
    assert found == word, why
    assert all(reason in why for reason in reasons), why


@pytest.mark.parametrize("coverage", [0.91, 0.985])
def test_intervals_that_do_not_do_what_they_say_ask_for_care(coverage):
    word, why = verdict(replace(machine_of(0.01), coverage=coverage))
    assert word == "with care"
    assert f"95% intervals hold the long-run value in {coverage:.1%}" in why


def test_what_cannot_be_measured_is_refused(monkeypatch):
    failed = Measurement("aa_test", SIDES[0], CASE, Status.CRASHED, "it exited with code 7")
    monkeypatch.setattr(machine.api, "measure", lambda *_, on_rows, **__: on_rows([failed]))
    with pytest.raises(
        EnvironmentRefused, match="aa_test/one could not be measured: crashed: it exited with"
    ):
        measure_machine("cpu", 1.0)


def test_further_runs_are_made_while_there_is_time_for_one(monkeypatch):
    now = [0.0]

    def rows(schedule):
        assert schedule.plan.settings.processes == 5
        now[0] += 10.0
        return runs_of(0.01, runs=1)[0]

    monkeypatch.setattr(machine, "_rows", rows)
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(machine, "_timer_reading", lambda *_: (1e-7, 1e-9))
    for time_limit_s, runs in ((1.0, 2), (29.0, 2), (31.0, 3), (60.0, 5)):
        assert measure_machine("cpu", time_limit_s).runs == runs


@pytest.mark.serial  # it measures the machine
def test_this_machine_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "LEAST_RUNS", 1)
    found = measure_machine("cpu", 0.1, processes=2)
    assert (found.runs, found.processes, found.rows) == (1, 2, 2)
    assert 0 < found.overhead_s < 1e-4
    assert 1e-5 < found.call_s < found.wall_s
    assert found.noise[1] < found.noise[0] < found.noise[2]
    assert set(found.effects) == {2, 10, 20}


def test_the_command_prints_it(monkeypatch, capsys):
    asked = []

    def measured(device, time_limit_s):
        asked.append((device, time_limit_s))
        return machine_of(0.025)

    monkeypatch.setattr(machine, "measure_machine", measured)
    assert _run(["selftest", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert "minimum detectable effect" in out
    assert "by 10 processes" in out
    assert out.splitlines()[-1].startswith("Worth publishing: with care. 10 processes tell ")
    assert "measuring the same code twice on cpu" in err
    assert _run(["selftest", "--device", "cpu", "--time-limit", "2m", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["publish"] == "with care"
    assert record["runs"] == 6
    assert asked == [("cpu", 90.0), ("cpu", 120.0)]
    assert _run(["selftest", "--faults", "--device", "cpu"]) == 2
    assert _run(["selftest", "--device", "tpu"]) == 2
    assert _run(["selftest", "--device", "cpu", "--time-limit", "soon"]) == 2
