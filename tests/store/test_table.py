import csv
import json

import pandas as pd
import pytest

from linbench.core.case import Case
from linbench.core.measurement import Measurement, Status, TensorError, Time
from linbench.core.run import Run
from linbench.store.table import frame, write_table

RUN = Run(
    "20261122-000000-0000", "now", None, {}, {},
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


def test_csv_holds_every_row_and_no_formula(tmp_path):
    path = tmp_path / "x.csv"
    write_table(RUN, "csv", path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "oom"]
    assert rows[1]["reason"] == '\'=HYPERLINK("x")'


def test_jsonl_is_what_run_prints(tmp_path):
    path = tmp_path / "x.jsonl"
    write_table(RUN, "jsonl", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [found.to_row(RUN.id) for found in RUN.measurements]


def test_parquet_comes_back(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is in the extra parquet")
    path = tmp_path / "x.parquet"
    write_table(RUN, "parquet", path)
    assert list(pd.read_parquet(path)["implementation"]) == ["linear/=cmd()", "linear/b"]
