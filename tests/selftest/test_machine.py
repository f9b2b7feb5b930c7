"""The summary of a machine, from synthetic rows and once from real ones."""

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
from linbench.selftest.machine import SIDES, measure_machine, summarize, verdict
from linbench.statistics.interval import process_interval

CASE = Case(1, 512, 4, 64, 64)
CALM = Telemetry(during={"others_cores": Range(0.0, 0.02, 0.1), "steal_cores": Range(0.0, 0.0, 0.0)})
BUSY = Telemetry(during={"others_cores": Range(0.5, 1.25, 2.0), "steal_cores": Range(0.0, 0.25, 0.5)})


def row(side, medians, telemetry=CALM, flags=()):
    """Return a row whose processes have three samples each, around these medians."""
    samples = Samples(tuple(value for median in medians for value in (0.5 * median, median, 7 * median)))
    low, high = process_interval(medians)
    time = Time("cpu", sorted(medians)[2], low, high, (3,) * len(medians), samples=samples)
    return Measurement("aa_test", side, CASE, Status.OK, time=time, telemetry=telemetry, flags=flags)


def runs_of(within, between=0.02, shift=0.0, runs=6, **extra):
    """Return runs of five processes with this noise; each run is slower than the previous one by `shift`."""
    source = random.Random(3)
    all_runs = []
    for number in range(runs):
        bases = [5e-3 * (1 + shift) ** number * math.exp(between * source.gauss(0, 1)) for _ in range(5)]
        sides = [[base * math.exp(within * source.gauss(0, 0.5**0.5)) for base in bases] for _ in SIDES]
        rows = [row(name, side, **extra) for name, side in zip(SIDES, sides, strict=True)]
        all_runs.append(rows[::-1] if number % 2 else rows)
    return all_runs


def machine_of(within, **extra):
    return summarize(runs_of(within, **extra), (200e-9, 1e-9), 60.0, 2)


def test_the_summary_of_a_calm_machine():
    calm = machine_of(0.01)
    assert (calm.runs, calm.processes, calm.rows) == (6, 5, 12)
    assert (calm.device, calm.timer, calm.overhead_s, calm.wall_s) == ("cpu", "cpu", 200e-9, 60.0)
    assert calm.call_s == pytest.approx(5e-3, rel=0.02)
    assert calm.noise[1] < 0.01 < calm.noise[2]
    assert calm.effects.keys() == {5, 10, 20}
    assert calm.effects[10] == pytest.approx(1.286 * calm.noise[0], rel=0.02)
    low, high = calm.difference[1:]
    assert low < 0 < high
    assert calm.rows_covering >= 10
    assert (calm.rows_contended, calm.throttled) == (0, False)
    assert calm.others_cores == pytest.approx(0.02)


def test_drift_is_the_range_of_the_runs_medians():
    assert machine_of(0.0, between=0.0).drift == pytest.approx(0.0)
    assert machine_of(0.0, between=0.0, shift=0.02).drift == pytest.approx(1.02**5 - 1)
    drifting = machine_of(0.001, between=0.001, shift=0.02)
    assert drifting.rows_covering <= 2  # each row has a narrow interval around a different value


def test_rows_are_assigned_to_sides_by_name():
    medians = [5e-3] * 4 + [6e-3]
    runs = [
        [row(name, [value * factor for value in medians]) for name, factor in order]
        for order in (((SIDES[0], 1.1), (SIDES[1], 1.0)), ((SIDES[1], 1.0), (SIDES[0], 1.1)))
    ]
    assert summarize(runs, (1e-7, 1e-9), 1.0, 2).difference == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("within", "extra", "word", "reasons"),
    [
        (0.01, {}, "yes", ["10 processes detect a difference of 1.", "within 2%"]),
        (0.025, {}, "with care", ["more than 2%"]),
        (0.06, {}, "no", ["more than 5%"]),
        (
            0.01,
            {"telemetry": BUSY, "flags": ("contended",)},
            "with care",
            ["other processes used 1.5 of 2 processors"],
        ),
        (0.01, {"flags": ("throttled",)}, "with care", ["clocks were throttled"]),
        (0.06, {"flags": ("throttled",)}, "no", ["more than 5%", "clocks were throttled"]),
    ],
)
def test_the_verdict_follows_the_thresholds(within, extra, word, reasons):
    answer, explanation = verdict(machine_of(within, **extra))
    assert answer == word, explanation
    assert all(reason in explanation for reason in reasons), explanation


@pytest.mark.parametrize("coverage", [0.91, 0.985])
def test_intervals_with_the_wrong_coverage_need_care(coverage):
    word, explanation = verdict(replace(machine_of(0.01), coverage=coverage))
    assert word == "with care"
    assert f"95% intervals cover the long-run value in {coverage:.1%} of cases" in explanation


def test_a_failed_measurement_is_refused(monkeypatch):
    failed = Measurement("aa_test", SIDES[0], CASE, Status.CRASHED, "it exited with code 7")
    monkeypatch.setattr(machine.api, "measure", lambda *_, on_rows, **__: on_rows([failed]))
    with pytest.raises(
        EnvironmentRefused, match="aa_test/one could not be measured: crashed: it exited with"
    ):
        measure_machine("cpu", 1.0)


def test_runs_are_repeated_while_there_is_time_for_another(monkeypatch):
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
def test_this_machine_can_be_measured(monkeypatch):
    monkeypatch.setattr(machine, "LEAST_RUNS", 1)
    this_machine = measure_machine("cpu", 0.1, processes=2)
    assert (this_machine.runs, this_machine.processes, this_machine.rows) == (1, 2, 2)
    assert 0 < this_machine.overhead_s < 1e-4
    assert 1e-5 < this_machine.call_s < this_machine.wall_s
    assert this_machine.noise[1] < this_machine.noise[0] < this_machine.noise[2]
    assert set(this_machine.effects) == {2, 10, 20}


def test_the_command_prints_the_summary(monkeypatch, capsys):
    calls = []

    def fake_measure_machine(device, time_limit_s):
        calls.append((device, time_limit_s))
        return machine_of(0.025)

    monkeypatch.setattr(machine, "measure_machine", fake_measure_machine)
    assert _run(["selftest", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert "minimum detectable effect" in out
    assert "by 10 processes" in out
    assert out.splitlines()[-1].startswith(
        "Worth publishing: with care. 10 processes detect a difference of "
    )
    assert "measuring the same code twice on cpu" in err
    assert _run(["selftest", "--device", "cpu", "--time-limit", "2m", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["publish"] == "with care"
    assert record["runs"] == 6
    assert calls == [("cpu", 90.0), ("cpu", 120.0)]
    assert _run(["selftest", "--faults", "--device", "cpu"]) == 2
    assert _run(["selftest", "--device", "tpu"]) == 2
    assert _run(["selftest", "--device", "cpu", "--time-limit", "soon"]) == 2
