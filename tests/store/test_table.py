import pandas as pd
from synthetic import BARE, BARE_PLAN

from linbench.core.case import Case
from linbench.core.measurement import Measurement, Status, TensorError, Time
from linbench.core.run import Run
from linbench.store.table import COLUMNS, frame

RUN = Run(
    "20261122-000000-0000", "now", None, BARE, BARE_PLAN,
    (
        Measurement(
            "linear", "linear/=cmd()", Case(1, 64, 2, 16, 16), Status.OK,
            time=Time("cpu", 2.0, 1.0, 3.0, (3,)), errors={"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5)},
        ),
        Measurement("linear", "linear/b", Case(1, 64, 2, 16, 16), Status.OOM, '=HYPERLINK("x")'),
    ),
)  # fmt: skip


def test_a_frame_is_tidy():
    table = frame([RUN])
    assert list(table["T"]) == [64, 64]
    assert list(table["status"]) == ["ok", "oom"]
    assert table["median_s"].iloc[0] == 2.0
    assert pd.isna(table["median_s"].iloc[1])
    assert table["rel_l2_o"].iloc[0] == 1e-7


def test_an_empty_frame_has_the_same_columns():
    assert list(frame([]).columns) == list(COLUMNS)
    assert list(frame([RUN]).columns) == [*COLUMNS, "rel_l2_o"]
    assert frame([])["T"].dtype == frame([RUN])["T"].dtype == "int64"


def test_a_frame_names_the_worst_tensor_and_counts_samples():
    row = frame([RUN]).iloc[0]
    assert (row["worst_tensor"], row["rel_l2"], row["tolerance"]) == ("o", 1e-7, 1e-5)
    assert (row["samples"], row["processes"], row["tokens"]) == (3, 1, 64)
    assert frame([RUN])["extra_bytes"].isna().all()
