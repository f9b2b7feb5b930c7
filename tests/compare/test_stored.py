"""Two stored runs side by side: a suspicion at most."""

import pytest

from linbench.compare.stored import other_machine, suspicions
from linbench.core.case import Case
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.run import Run
from linbench.report.comparison import suspicion_line

HOST = {"cpu": "Zen", "cores": 2}
GPU = {"name": "H100", "driver": "550"}


def run(name, rows, gpus=(), cpu="Zen"):
    environment = {"host": HOST | {"cpu": cpu}, "gpus": list(gpus), "libraries": {"torch": name}, "git": None}
    return Run(name, "2026", None, environment, {}, tuple(rows))


def row(low, middle, high, timer="cpu", T=16, mhz=None):
    time = Time(timer, middle, low, high, (5, 5))
    telemetry = {"during": {"gpu_sm_mhz": [mhz - 300, mhz, mhz + 15]}} if mhz else {}
    case = Case(1, T, 1, 4, 4)
    return Measurement("linear", "linear/x", case, Status.OK, time=time, telemetry=telemetry)


def answer(a, b):
    (found,) = suspicions(run("a", [a]), run("b", [b]))
    return found.answer


def test_times_apart_raise_a_suspicion_and_times_that_overlap_none():
    assert answer(row(0.9, 1.0, 1.1), row(1.2, 1.3, 1.4)) == "suspect"
    assert answer(row(0.9, 1.0, 1.1), row(0.6, 0.7, 0.8)) == "suspect"
    assert answer(row(0.9, 1.0, 1.1), row(1.0, 1.3, 1.4)) == "no sign"
    assert answer(row(0.999, 1.0, 1.001), row(1.004, 1.005, 1.006)) == "no sign"  # under 1%


def test_another_status_is_suspect_and_another_timer_says_nothing():
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
def test_a_suspicion_that_is_none_in_cycles_is_labelled_clock(b, label):
    (found,) = suspicions(run("a", [row(0.99, 1.0, 1.01, mhz=1980)]), run("b", [b]))
    assert found.clock is found.to_json()["clock"] is bool(label)
    assert suspicion_line(found).endswith("]" + label)


def test_a_time_of_zero_says_nothing():
    assert answer(row(0, 0, 0), row(1, 1, 1)) == "no sign"


def test_a_machine_that_was_not_recorded_is_another_one():
    one = run("a", [row(1, 1, 1)], [GPU])
    unknown = Run("b", "2026", None, {}, {}, one.measurements)
    assert other_machine(one, one) is None
    assert other_machine(one, unknown) == "cpu Zen, and this is None"
    with pytest.raises(EnvironmentRefused):
        list(suspicions(one, unknown))


def test_rows_are_matched_by_implementation_and_case():
    one, other = (
        run("a", [row(1, 1, 1), row(1, 1, 1, T=32)]),
        run("b", [row(1, 1, 1, T=32), row(1, 1, 1, T=64)]),
    )
    assert [found.b.case.T for found in suspicions(one, other)] == [32]


@pytest.mark.parametrize(
    "other",
    [{"gpus": [GPU | {"driver": "560"}]}, {"gpus": [GPU | {"name": "H200"}]}, {"gpus": []}, {"cpu": "Xeon"}],
)
def test_another_card_driver_or_processor_is_refused_unless_forced(other):
    one, second = run("a", [row(1, 1, 1)], [GPU]), run("b", [row(1, 1, 1)], **({"gpus": [GPU]} | other))
    with pytest.raises(EnvironmentRefused, match="--force compares them all the same"):
        list(suspicions(one, second))
    assert len(list(suspicions(one, second, force=True))) == 1
