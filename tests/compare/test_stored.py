"""Comparison of two stored runs, which yields a suspicion at most."""

from dataclasses import replace

import pytest
from synthetic import BARE, BARE_PLAN

from linbench.compare.stored import machine_difference, suspicions
from linbench.core.case import Case
from linbench.core.errors import EnvironmentRefused
from linbench.core.gpu import Gpu
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.run import Run
from linbench.core.telemetry import Range, Telemetry
from linbench.report.comparison import suspicion_line

GPU = Gpu("H100", "GPU-1", 2**36, "550")


def run(name, rows, gpus=(), **host):
    environment = replace(BARE, host=replace(BARE.host, **host), gpus=tuple(gpus), libraries={"torch": name})
    return Run(name, "2026", None, environment, BARE_PLAN, tuple(rows))


def row(low, middle, high, timer="cpu", T=16, mhz=None):
    time = Time(timer, middle, low, high, (5, 5))
    during = {"gpu_sm_mhz": Range(mhz - 300, mhz, mhz + 15)} if mhz else {}
    telemetry = Telemetry(during=during)
    case = Case(1, T, 1, 4, 4)
    return Measurement("linear", "linear/x", case, Status.OK, time=time, telemetry=telemetry)


def answer(a, b):
    (suspicion,) = suspicions(run("a", [a]), run("b", [b]))
    return suspicion.answer


def test_disjoint_intervals_raise_a_suspicion_and_overlapping_ones_do_not():
    assert answer(row(0.9, 1.0, 1.1), row(1.2, 1.3, 1.4)) == "suspect"
    assert answer(row(0.9, 1.0, 1.1), row(0.6, 0.7, 0.8)) == "suspect"
    assert answer(row(0.9, 1.0, 1.1), row(1.0, 1.3, 1.4)) == "no sign"
    assert answer(row(0.999, 1.0, 1.001), row(1.004, 1.005, 1.006)) == "no sign"  # under 1%


def test_a_different_status_is_suspect_and_a_different_timer_is_not():
    wrong = Measurement("linear", "linear/x", Case(1, 16, 1, 4, 4), Status.WRONG, reason="off")
    assert answer(row(0.9, 1.0, 1.1), wrong) == "suspect"
    assert answer(row(0.9, 1.0, 1.1), row(9, 9.5, 10, timer="cupti")) == "no sign"


@pytest.mark.parametrize(
    ("b", "label"),
    [
        (row(1.19, 1.2, 1.21, mhz=1653), " (clock: +0.2% in cycles, 1,980 \u2192 1,653 MHz)"),
        (row(1.19, 1.2, 1.21, mhz=1980), ""),
        (row(1.19, 1.2, 1.21), ""),  # not read
        (row(0.99, 1.0, 1.01, mhz=1653), ""),  # no difference in time to explain
    ],
)
def test_a_suspicion_without_a_difference_in_cycles_is_labelled_clock(b, label):
    (suspicion,) = suspicions(run("a", [row(0.99, 1.0, 1.01, mhz=1980)]), run("b", [b]))
    assert suspicion.clock is suspicion.to_json()["clock"] is bool(label)
    assert suspicion_line(suspicion).endswith("]" + label)


def test_a_time_of_zero_raises_no_suspicion():
    assert answer(row(0, 0, 0), row(1, 1, 1)) == "no sign"


def test_the_difference_of_two_machines_is_described():
    a, b = run("a", [], [GPU]), run("b", [], cpu="Zen")
    assert machine_difference(a, replace(a, id="b")) is None
    assert machine_difference(a, b) == "cpu A, 2 cores, and this is Zen, 2 cores"
    assert machine_difference(a, run("b", [])) == "gpus H100, driver 550, and this is none"


def test_rows_are_matched_by_implementation_and_case():
    a = run("a", [row(1, 1, 1), row(1, 1, 1, T=32)])
    b = run("b", [row(1, 1, 1, T=32), row(1, 1, 1, T=64)])
    assert [suspicion.b.case.T for suspicion in suspicions(a, b)] == [32]


@pytest.mark.parametrize(
    "machine",
    [
        {"gpus": [replace(GPU, driver="560")]}, {"gpus": [replace(GPU, name="H200")]}, {"gpus": []},
        {"gpus": [GPU, GPU]}, {"cpu": "Xeon"}, {"cores": 4},
    ],
)  # fmt: skip
def test_a_different_gpu_driver_or_processor_is_refused_unless_forced(machine):
    a, b = run("a", [row(1, 1, 1)], [GPU]), run("b", [row(1, 1, 1)], **({"gpus": [GPU]} | machine))
    with pytest.raises(EnvironmentRefused, match="use --force to compare them anyway"):
        list(suspicions(a, b))
    assert len(list(suspicions(a, b, force=True))) == 1
