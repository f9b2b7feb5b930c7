"""The contents of each format of another tool, and the rows reported as omitted."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from statistics import median

import pandas as pd
import pytest
from exchanged import COMMIT, RUN, rows

from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.core.provenance import Code
from linbench.store.exchange import importing
from linbench.store.exchange.export import SUFFIXES, label, write_run

TIMED = [row for row in RUN.measurements if row.time]
UNTIMED = [row for row in RUN.measurements if not row.time]


@pytest.fixture
def export(tmp_path):
    """Return a function that exports a run and returns the file and the omitted rows."""

    def write(form, run=RUN):
        path = tmp_path / f"x.{SUFFIXES[form]}"
        return path, write_run(run, form, path)

    return write


@pytest.mark.parametrize("form", ["pytest-benchmark", "github-action", "bencher", "asv"])
def test_every_row_without_a_time_is_reported_with_its_reason(export, form):
    path, omitted = export(form)
    assert len(omitted) == len(UNTIMED)
    for row, line in zip(UNTIMED, omitted, strict=True):
        reason = "ok, not timed" if row.status is Status.OK else f"{row.status}: {row.reason}"
        assert line == f"{label(row)}: {reason}"
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_names_of_rows_are_unique(export):
    assert len({label(row) for row in RUN.measurements}) == len(RUN.measurements)
    path, _ = export("bencher")
    assert len(json.loads(path.read_text())) == len(TIMED)


def test_github_action_benchmark(export):
    entries = json.loads(export("github-action")[0].read_text())
    assert {type(entry["value"]) for entry in entries} == {float, int}
    assert all(set(entry) <= {"name", "unit", "value", "range", "extra"} for entry in entries)
    assert entries[0] == {
        "name": "linear/chunk B1 T64 H2 K16 V16 float32 fwd cpu feature_map=relu",
        "unit": "s",
        "value": 2.0,
        "range": "95% interval 1 to 3",
        "extra": "3 samples\ntimer cpu\ncontended",
    }
    assert entries[1] == {"name": f"{entries[0]['name']} memory", "unit": "bytes", "value": 5}
    assert len(entries) == 2 * len(TIMED)


def test_bencher_metric_format(export):
    metrics = json.loads(export("bencher")[0].read_text())
    assert metrics[label(TIMED[0])] == {
        "latency": {"value": 2e9, "lower_value": 1e9, "upper_value": 3e9},  # nanoseconds
        "extra-bytes": {"value": 5},
    }


def test_asv_results(export):
    data = json.loads(export("asv")[0].read_text())
    assert (data["version"], data["commit_hash"]) == (2, COMMIT)
    assert data["params"]["machine"] == "A GPU"
    assert data["date"] == 1795357800000
    ((name, values),) = data["results"].items()
    result = dict(zip(data["result_columns"], values, strict=False))
    assert name == "linbench.linear.chunk"
    assert result["result"] == [row.time.median_s if row.time else None for row in RUN.measurements]
    assert len(result["params"][0]) == len(RUN.measurements)
    assert result["params"][0][0] == "'B1 T64 H2 K16 V16 float32 fwd cpu feature_map=relu'"
    assert result["samples"][0] == [1.0, 2.0, 3.0]
    assert (result["stats_q_25"][0], result["stats_q_75"][0]) == (1.5, 2.5)
    assert (result["stats_number"][0], result["stats_repeat"][0]) == (1, 3)
    assert result["stats_ci_99_a"] is None


@pytest.mark.parametrize("commits", [(), (None,), (COMMIT, "f" * 40), (COMMIT, None)])
def test_asv_needs_one_commit(export, tmp_path, commits):
    code = tuple(Code("mine", None, commit) for commit in commits)
    with pytest.raises(UsageError, match="has no single commit"):
        export("asv", replace(RUN, environment=replace(RUN.environment, code=code)))
    assert not list(tmp_path.glob("x.asv.json"))


def test_pytest_benchmark_has_the_samples_and_the_checked_errors(export):
    data = json.loads(export("pytest-benchmark")[0].read_text())
    assert [benchmark["fullname"] for benchmark in data["benchmarks"]] == [
        f"linbench::linear/chunk[{label(row).removeprefix('linear/chunk ')}]" for row in TIMED
    ]
    benchmark = data["benchmarks"][0]
    stats = benchmark["stats"]
    assert stats["data"] == [1.0, 2.0, 3.0]
    assert stats["median"] == median([1.0, 2.0, 3.0])
    assert (stats["mean"], stats["stddev"], stats["rounds"]) == (2.0, 1.0, 3)
    assert benchmark["options"]["timer"] == "linbench cpu"
    assert benchmark["extra_info"]["rel_l2"] == {"o": 1e-7}
    assert data["commit_info"]["id"] == COMMIT


def test_pytest_benchmark_reads_an_export_and_import_rejects_it(export):
    path, _ = export("pytest-benchmark")
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=path.parent)
    assert process.returncode == 0, process.stderr
    assert "linear/chunk[B1 T64" in process.stdout
    for text in (path.read_text(), json.dumps(json.loads(path.read_text()))):
        path.write_text(text)
        with pytest.raises(
            UsageError, match=r"is not linbench JSON lines, the only format that can be imported"
        ):
            importing.read(path)


def test_csv_has_every_row_and_no_formula(export):
    starts = ["=x", "+x", "-x", "@x", "\tx", "\rx", " =x", "\n=x"]  # the \r must not start a line
    odd = [
        replace(rows()[-1], reason=text, case=replace(rows()[-1].case, T=n))
        for n, text in enumerate(starts, 1)
    ]
    path, omitted = export("csv", replace(RUN, measurements=RUN.measurements + tuple(odd)))
    with path.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["status"] for row in table[: -len(odd)]] == [str(row.status) for row in RUN.measurements]
    assert [row["reason"] for row in table[-len(odd) :]] == [f"'{text}" for text in starts]
    assert table[0]["T"] == "64"
    assert omitted == []


def test_parquet_can_be_read(export):
    pytest.importorskip("pyarrow", reason="pyarrow is in the extra parquet")
    table = pd.read_parquet(export("parquet")[0])
    assert list(table["status"]) == [str(row.status) for row in RUN.measurements]
    assert table["median_s"].iloc[0] == 2.0


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        write_run(RUN, "jsonl", tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        write_run(RUN, "jsonl", tmp_path / "none" / "x.jsonl")
