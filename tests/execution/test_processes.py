"""A row is measured in several processes, each with a check; its confidence interval is over processes."""

import json
from statistics import median

import pytest
from fake_worker import CHECK_RESULT, MEMORY

from linbench.core.case import Case
from linbench.core.measurement import Status
from linbench.core.samples import Samples
from linbench.core.telemetry import Range, Reading
from linbench.execution.schedule import Job
from linbench.execution.trial import Trial, Turn
from linbench.statistics.interval import process_interval
from linbench.store.store import Store

SECOND_PROCESS = """
import os
from pathlib import Path
import torch
from linbench import implementation
from linbench.core.registry import registry

COUNT = Path({count!r})
COUNT.write_text(COUNT.read_text() + "x" if COUNT.exists() else "x")
NUMBER = len(COUNT.read_text())  # 1 in the parent, 2 in the first worker

def correct(q, k, v):
    return registry.implementation("linear/naive")(q, k, v)

@implementation("linear", "dies-in-the-third")
def dies(q, k, v):
    if NUMBER == 4:
        os._exit(9)
    return correct(q, k, v)

@implementation("linear", "wrong-in-the-second")
def wrong(q, k, v):
    return correct(q, k, v) * (1 + (NUMBER == 3))
"""


def test_every_process_takes_samples_and_the_interval_is_over_processes(linbench):
    options = ["--impl", "linear/chunk,softmax/naive", "--T", "64", "--min-time", "30ms", "--device", "cpu"]
    stdout, _ = linbench("run", *options, "--processes", "3", "--no-report", "--format", "json")
    rows = {row["implementation"]: row for row in map(json.loads, stdout.splitlines())}
    store = Store(str(linbench.folder / "results/linbench.db"))
    for measurement in store.run("latest", with_samples=True).measurements:
        row, time = rows[measurement.implementation], measurement.time
        assert len(row["processes"]) == 3
        assert sum(row["processes"]) == len(time.samples)
        samples, medians = list(time.samples.time_s), []
        for count in row["processes"]:
            medians.append(median(samples[:count]))
            del samples[:count]
        assert row["median_s"] == pytest.approx(median(medians), rel=1e-6)
        assert (row["ci_low_s"], row["ci_high_s"]) == pytest.approx(process_interval(medians), rel=1e-6)
        is_wide = (row["ci_high_s"] - row["ci_low_s"]) / 2 / row["median_s"] > 0.01
        assert ("unstable" in row["flags"]) == is_wide


def test_results_are_checked_in_every_process(linbench):
    plugin = linbench.folder / "second.py"
    plugin.write_text(SECOND_PROCESS.format(count=str(linbench.folder / "count")))
    names = "linear/dies-in-the-third,linear/wrong-in-the-second,linear/naive"
    stdout, _ = linbench(
        "run", "--plugin", plugin, "--impl", names, "--T", "32", "--min-time", "60ms", "--processes", "3",
        "--no-report", "--format", "json", "--device", "cpu",
    )  # fmt: skip
    rows = {row["implementation"]: row for row in map(json.loads, stdout.splitlines())}
    assert rows["linear/dies-in-the-third"]["status"] == "crashed"
    assert rows["linear/wrong-in-the-second"]["status"] == "wrong"
    assert rows["linear/wrong-in-the-second"]["errors"]["o"]["rel_l2"] == pytest.approx(1, rel=1e-3)
    assert rows["linear/naive"]["status"] == "ok"
    assert len(rows["linear/naive"]["processes"]) == 3


def trial_of(*processes, precision=0.01):
    trial = Trial(Job("linear/x", "linear", Case(1, 8, 1, 4, 4)), precision)
    trial.check_result, trial.memory = CHECK_RESULT, MEMORY
    trial.processes = [Turn(Samples(tuple(time_s))) for time_s in processes]
    return trial


def test_the_time_of_a_row_is_the_median_of_medians_independent_of_sample_counts():
    row = trial_of([1.0] * 100, [2.0], [3.0]).measurement()
    assert row.time.median_s == 2.0
    assert row.time.processes == (100, 1, 1)
    assert "unstable" in row.flags


def test_processes_that_agree_are_steady():
    row = trial_of([1.0, 5.0, 1.0], [1.001, 1.001], [0.999]).measurement()
    assert row.flags == ()
    assert row.time.half_width < 0.01


def test_a_trial_that_ended_early_has_no_time():
    trial = trial_of([1.0], [1.0])
    trial.end(Status.CRASHED, "gone")
    assert trial.measurement().time is None
    assert trial.measurement().memory is None


def test_all_channels_of_the_samples_have_the_same_order():
    trial = trial_of()
    trial.processes = [
        Turn(Samples((1.0, 2.0), cpu_s=(0.5, 1.5), switches=(0, 4)), Samples((0.25, 0.5, 4.0))),
        Turn(Samples((3.0,), cpu_s=(3.0,), switches=(1,)), Samples((1.0,))),
    ]
    time = trial.measurement().time
    assert time.samples == Samples((1.0, 2.0, 3.0), cpu_s=(0.5, 1.5, 3.0), switches=(0, 4, 1))
    assert (time.cpu_median_s, time.kernels_median_s, time.calibration_median_s) == (2.0, None, 0.75)


def test_flags_describe_the_machine_during_the_measurement():
    calm, hot = [Reading(1.0, 0.5, others_cores=0.1)] * 2, Reading(1.0, 0.5, cpu_throttles=1)
    shared, stolen = Reading(1.0, 0.5, others_cores=0.6), Reading(1.0, 0.5, steal_cores=2.0)

    def row_of(*readings, contended=0):
        trial = trial_of([], [])
        trial.cores = 2
        marks = [(1,) * contended + (0,) * (10 - contended), (0,) * 10]
        trial.processes = [
            Turn(Samples((1.0,) * 10, contended=mark), readings=tuple(readings)) for mark in marks
        ]
        return trial.measurement()

    assert row_of().flags == row_of(*calm).flags == ()
    row = row_of(*calm, shared, hot)
    assert row.flags == ("throttled",)  # 0.2 of 2 processors on average is 10%, the limit
    assert row.telemetry.during["others_cores"] == Range(0, 0.1, 0.6)
    assert row.telemetry.throttles == ("processor too hot",)
    assert row_of(*calm, shared, stolen).flags == ("contended",)
    assert row_of(*calm, contended=4).flags == ()
    assert row_of(*calm, contended=5).flags == ("contended",)
