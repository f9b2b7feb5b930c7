"""Row: the columns, their order, and the round trip of a measurement through them."""

import json
from dataclasses import replace

import pytest

from linbench.core.case import Case
from linbench.core.implementation import needs
from linbench.core.measurement import Cause, Kernel, Measurement, Memory, Reason, Status, TensorError, Time
from linbench.core.row import COLUMNS, REQUIRED, from_row, to_row
from linbench.core.samples import Samples
from linbench.core.telemetry import Range, Reading, Telemetry
from linbench.core.work import Work
from linbench.execution.schedule import Job
from linbench.execution.trial import Trial

CASE = Case(1, 64, 2, 16, 16, options={"feature_map": "relu"}, seed=3)
SAMPLES = Samples(
    (1.0, 2.0, 3.0), (0.5, 1.0, 1.5), (0, 7, 2**20), (0, 1, 0), (1.0, 1.5, 2.0), (0.25, 0.5, 0.75)
)
FULL = Measurement(
    "linear",
    "linear/chunk",
    CASE,
    Status.OK,
    time=Time("cupti", 2.0, 1.0, 3.0, (2, 1), 1.0, 1.5, 0.5, 0.25, SAMPLES),
    first_call_s=9.0,
    deterministic=False,
    kernels=(Kernel("forward", "num_warps=4", "0a1b", 255, 0, 2**16), Kernel("scan", "", "ff")),
    memory=Memory(2**40, 9, "allocator", 4, 3, 2, 2**33, 2**34),
    work=Work(2.0**70, 2.0**71, 2**40),
    errors={"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5, (1e-8, None))},
    approximation={"o": 0.25},
    telemetry=Telemetry(
        Reading(1.0, 0.5, gpu_throttles=("power cap",)),
        None,
        {"load": Range(0.25, 0.5, 1.0)},
        ("power cap",),
        2,
    ),
    flags=("contended",),
    measured_at="2026-11-22T00:00:00+00:00",
)
SKIPPED = Measurement("linear", "linear/chunk", CASE, Status.SKIPPED, "no time", Cause.TIME_LIMIT)
WITHOUT_SAMPLES = replace(FULL, time=replace(FULL.time, samples=Samples()))


def test_the_columns_and_their_order():
    assert [column.name for column in COLUMNS] == [
        "operator", "implementation",
        "B", "T", "H", "K", "V", "dtype", "mode", "device", "options", "seed",
        "status", "reason", "cause",
        "timer", "median_s", "ci_low_s", "ci_high_s", "processes",
        "cpu_median_s", "kernels_median_s", "enqueue_median_s", "calibration_median_s",
        "first_call_s", "deterministic", "kernels",
        "peak_bytes", "extra_bytes", "memory_meter",
        "output_bytes", "saved_bytes", "workspace_bytes", "state_bytes", "reserved_bytes",
        "useful_flops", "algorithmic_flops", "fewest_bytes",
        "errors", "approximation", "telemetry", "flags", "measured_at",
    ]  # fmt: skip


def test_a_column_is_optional_where_its_field_or_its_part_is():
    not_null = [column.name for column in COLUMNS if not column.is_optional]
    assert not_null == [
        "operator", "implementation", "B", "T", "H", "K", "V", "dtype", "mode", "device", "options", "seed",
        "status", "kernels", "errors", "approximation", "telemetry", "flags", "measured_at",
    ]  # fmt: skip
    assert [column.name for column in COLUMNS if not column.is_required] == [
        "cpu_median_s", "kernels_median_s", "enqueue_median_s", "calibration_median_s", "reserved_bytes",
        "algorithmic_flops",
    ]  # fmt: skip


@pytest.mark.parametrize("measurement", [FULL, SKIPPED], ids=["full", "skipped"])
def test_a_row_has_one_plain_value_per_column_in_order(measurement):
    row = to_row(measurement)
    assert [*row] == [column.name for column in COLUMNS]
    assert json.loads(json.dumps(row)) == row


def test_a_row_has_the_values_of_its_measurement():
    row = to_row(FULL)
    assert (row["T"], row["options"], row["seed"]) == (64, {"feature_map": "relu"}, 3)
    assert (row["median_s"], row["processes"], row["enqueue_median_s"]) == (2.0, [2, 1], 0.5)
    assert (row["memory_meter"], row["reserved_bytes"]) == ("allocator", 2**34)
    assert row["errors"]["o"]["by_position"] == [1e-8, None]
    assert row["telemetry"]["during"] == {"load": {"low": 0.25, "middle": 0.5, "high": 1.0}}
    assert (row["cause"], to_row(SKIPPED)["cause"], to_row(SKIPPED)["median_s"]) == (
        None,
        "time_limit",
        None,
    )


@pytest.mark.parametrize("measurement", [WITHOUT_SAMPLES, SKIPPED], ids=["full", "skipped"])
def test_a_measurement_survives_a_round_trip_through_its_row(measurement):
    assert from_row(to_row(measurement)) == measurement
    assert from_row(to_row(measurement) | {"run": "not a column"}) == measurement


def test_samples_are_read_separately_from_the_row():
    samples = {name: [*values] for name, values in vars(SAMPLES).items()}
    assert from_row(to_row(FULL), samples) == FULL
    with pytest.raises(ValueError, match="there are samples, but median_s is null"):
        from_row(to_row(SKIPPED), samples)


@pytest.mark.parametrize("part", ["time", "memory", "work"])
def test_the_required_columns_of_a_part_are_all_present_or_all_null(part):
    names = ", ".join(REQUIRED[part])
    for column in REQUIRED[part]:
        with pytest.raises(ValueError, match=f"^{names} must be all present or all null$"):
            from_row(to_row(FULL) | {column: None})


@pytest.mark.parametrize(
    ("column", "value", "first"),
    [
        ("calibration_median_s", 1.0, "timer"),
        ("reserved_bytes", 1, "peak_bytes"),
        ("algorithmic_flops", 1.0, "useful_flops"),
    ],
)
def test_an_optional_column_of_an_absent_part_is_rejected(column, value, first):
    with pytest.raises(ValueError, match=f"^{column} is present, but {first} is null$"):
        from_row(to_row(SKIPPED) | {column: value})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("T", 0, r"^case\.T: "),
        ("dtype", "float8", r"^case\.dtype: "),
        ("status", "fine", "^status: "),
        ("median_s", -1.0, r"^time\.median_s: "),
        ("ci_low_s", 4.0, "^time: ci_low_s is above ci_high_s"),
        ("processes", [0], "^time: a time needs at least one sample"),
        ("peak_bytes", 2**63, r"^memory\.peak_bytes: "),
        ("fewest_bytes", -1, r"^work\.fewest_bytes: "),
        ("cause", "rain", "^cause: "),
        ("errors", {"o": {"rel_l2": 1.0}}, r"^errors\.o\.max_abs: "),
    ],
)
def test_an_invalid_value_is_rejected_with_the_name_of_the_field(column, value, message):
    with pytest.raises(ValueError, match=message):
        from_row(to_row(FULL) | {column: value})


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (needs(modules=["no_such_module"])(CASE), Cause.MISSING_MODULE),
        (needs(device="cuda")(CASE), Cause.NO_DEVICE),
        (needs(dtypes=["bfloat16"])(CASE), None),
        (Reason("too\nlarge", Cause.PREDICTED_MEMORY), Cause.PREDICTED_MEMORY),
    ],
)
def test_the_cause_of_a_reason_reaches_the_row(reason, cause):
    trial = Trial(Job("linear/chunk", "linear", CASE), precision=0.01)
    trial.end(Status.UNSUPPORTED, reason)
    row = to_row(trial.measurement())
    assert (row["status"], row["reason"], row["cause"]) == ("unsupported", " ".join(reason.split()), cause)
    assert from_row(row).cause is cause
