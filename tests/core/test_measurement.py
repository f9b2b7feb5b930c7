from dataclasses import replace

import pytest
from synthetic import error, row

from linbench.core.measurement import Status, Time
from linbench.core.samples import Samples
from linbench.core.work import Work

WORK = Work(1e9, 3e9, 2**20)


def test_the_worst_tensor_has_the_largest_error_relative_to_its_tolerance():
    measurement = row("a/x")
    assert replace(measurement, errors={"o": error(2e-7, 1e-6), "dq": error(3e-7, 1e-3)}).worst_tensor == "o"
    assert (
        replace(measurement, errors={"o": error(9e-1, 1e-6), "dq": error(nonfinite=1)}).worst_tensor == "dq"
    )
    assert replace(measurement, errors={"o": error(float("nan"))}).worst_tensor == "o"
    assert replace(measurement, errors={}).worst_tensor is None


def test_a_time_is_the_median_of_the_medians_of_its_processes():
    first = Samples((1.0, 2.0, 9.0), enqueue_s=(0.5, 0.25, 0.125))
    processes = [first, Samples((4.0,), enqueue_s=(0.75,)), Samples((3.0,), enqueue_s=(0.5,))]
    calibrations = [Samples((0.5, 1.5)), Samples((3.0,)), Samples()]
    time = Time.of("cpu", processes, calibrations, (2.0, 4.0))
    assert time == Time(
        timer="cpu",
        median_s=3.0,
        ci_low_s=2.0,
        ci_high_s=4.0,
        processes=(3, 1, 1),
        enqueue_median_s=0.5,
        calibration_median_s=2.0,
        samples=Samples((1.0, 2.0, 9.0, 4.0, 3.0), enqueue_s=(0.5, 0.25, 0.125, 0.75, 0.5)),
    )
    assert (time.n, time.half_width) == (5, pytest.approx(1 / 3))


def test_a_time_has_as_many_samples_as_its_processes_took_or_none():
    with pytest.raises(ValueError, match="there are 2 samples where processes took 3"):
        Time("cpu", 1.0, 1.0, 1.0, (2, 1), samples=Samples((1.0, 1.0)))


def test_only_an_ok_measurement_has_work():
    with pytest.raises(ValueError, match="oom cannot have a time, memory or work"):
        replace(row("a/x", status=Status.OOM), work=WORK)


@pytest.mark.parametrize("wrong", [(-1.0, None, 1), (1.0, float("nan"), 1), (1.0, 1.0, float("inf"))])
def test_work_is_finite_and_not_negative(wrong):
    with pytest.raises(ValueError, match="a count must be finite and not negative"):
        Work(*wrong)
