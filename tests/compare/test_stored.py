"""Two stored runs side by side: a suspicion at most."""

from dataclasses import replace

import pytest
from synthetic import BARE, BARE_PLAN

from linbench.compare.stored import other_machine, suspicions
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


def test_another_machine_is_said_in_words():
    one, other = run("a", [], [GPU]), run("b", [], cpu="Zen")
    assert other_machine(one, replace(one, id="b")) is None
    assert other_machine(one, other) == "cpu A, 2 cores, and this is Zen, 2 cores"
    assert other_machine(one, run("b", [])) == "gpus H100, driver 550, and this is none"


def test_rows_are_matched_by_implementation_and_case():
    one, other = (
        run("a", [row(1, 1, 1), row(1, 1, 1, T=32)]),
        run("b", [row(1, 1, 1, T=32), row(1, 1, 1, T=64)]),
    )
    assert [found.b.case.T for found in suspicions(one, other)] == [32]


@pytest.mark.parametrize(
    "other",
    [
        {"gpus": [replace(GPU, driver="560")]}, {"gpus": [replace(GPU, name="H200")]}, {"gpus": []},
        {"gpus": [GPU, GPU]}, {"cpu": "Xeon"}, {"cores": 4},
    ],
)  # fmt: skip
def test_another_card_driver_or_processor_is_refused_unless_forced(other):
    one, second = run("a", [row(1, 1, 1)], [GPU]), run("b", [row(1, 1, 1)], **({"gpus": [GPU]} | other))
    with pytest.raises(EnvironmentRefused, match="--force compares them all the same"):
        list(suspicions(one, second))
    assert len(list(suspicions(one, second, force=True))) == 1
