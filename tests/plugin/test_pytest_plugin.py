"""The pytest plugin, in runs of pytest as a user has them."""

import json
import sqlite3
from pathlib import Path

import pytest

from linbench import pytest_plugin
from linbench.store.sessions import Sessions
from linbench.store.store import Store

FIXTURE = """
from linbench.core.plan import Settings

SHORT = Settings(processes=1, min_time_s=0.02, max_time_s=0.02)

def test_a_row(linbench):
    row = linbench("linear/chunk", T=16, H=2, D=8, device="cpu", settings=SHORT)
    assert row.status == "ok" and row.time.median_s > 0 and row.errors and row.memory
    assert (row.case.T, row.case.mode) == (16, "fwd")

def test_a_mode_and_an_option(linbench):
    once = Settings(once=True)
    row = linbench("linear/chunk", T=16, H=2, D=8, mode="decode", options={"feature_map": "relu"},
                   device="cpu", settings=once)
    assert (row.case.mode, row.case.options["feature_map"], row.time) == ("decode", "relu", None)

def test_a_row_that_is_not_ok(linbench):
    linbench("simple_gla/mamba-ssd", T=16, mode="decode", device="cpu")

def test_a_row_that_may_fail(linbench):
    row = linbench("simple_gla/mamba-ssd", T=16, mode="decode", device="cpu", may_fail=True)
    assert row.status == "unsupported"

def test_several(linbench):
    linbench("linear/chunk", T=[16, 32], device="cpu")
"""
TIMED = """
import pytest

@pytest.mark.parametrize("n", [10, 20])
def test_timed(benchmark, n):
    benchmark.pedantic(sum, (range(n),), rounds=6, iterations=3)

def test_timed_and_failed(benchmark):
    benchmark.pedantic(sum, (range(9),), rounds=6)
    raise RuntimeError("no")

def test_not_timed(benchmark):
    pytest.skip("no")
"""


@pytest.fixture
def folder(command_line):
    """pytest with the plugin, in a new folder."""
    command = command_line("plugin")
    words = ("-p", "linbench.pytest_plugin", "-p", "no:cacheprovider", "-q", "-ra")
    command.program = ("-m", "pytest", *words)
    return command


def test_the_fixture_measures_checks_and_records(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE)
    out, _ = folder("--linbench-db", "new/x.db", code=1)
    assert "2 failed, 3 passed" in out
    assert "simple_gla/mamba-ssd B1 T16 H8 K64 V64 float32 decode cpu: unsupported: has no decode mode" in out
    assert "2 cases; give one value an axis" in out
    store = Store(str(folder.folder / "new/x.db"))
    statuses = [summary.statuses for summary in reversed(store.summaries())]
    assert statuses == [{"ok": 1}, {"ok": 1}, {"unsupported": 1}, {"unsupported": 1}]
    assert store.problems() == []


def test_it_needs_neither_a_database_nor_pytest_benchmark(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE)
    out, _ = folder("-p", "no:benchmark", "-k", "may_fail")
    assert "1 passed" in out
    assert [path.name for path in folder.folder.iterdir() if path.suffix in (".db", ".jsonl")] == []


def test_what_pytest_benchmark_times_is_recorded_and_what_failed_is_named(folder):
    (folder.folder / "test_x.py").write_text(TIMED)
    out, _ = folder("--linbench-db", "x.db", "--benchmark-json=x.json", code=1)
    (summary,) = Sessions(str(folder.folder / "x.db")).summaries()
    assert f"linbench: recorded 2 benchmarks, checked against nothing, in x.db as {summary.id}" in out
    assert "linbench: not recorded, the test failed: test_x.py::test_timed_and_failed" in out
    found = Sessions(str(folder.folder / "x.db")).session(summary.id)
    written = json.loads((folder.folder / "x.json").read_text())
    theirs = written["benchmarks"]
    assert found.commit_info == written["commit_info"]
    assert [one.name for one in found.benchmarks] == ["test_timed[10]", "test_timed[20]"]
    for one, other in zip(found.benchmarks, theirs, strict=False):
        assert one.samples_s == pytest.approx(other["stats"].pop("data"), rel=1e-6)
        assert one.stats == other["stats"]
        assert one.params == other["params"]
    assert found.benchmarks[0].options["timer"] == "perf_counter"
    assert found.machine_info["host"]["cores"] > 0
    assert found.imported_from is None


def test_without_a_database_nothing_is_recorded(folder):
    (folder.folder / "test_x.py").write_text(TIMED.partition("def test_timed_and_failed")[0])
    out, _ = folder()
    assert "2 passed" in out
    assert "linbench" not in out


def test_under_xdist_it_says_so_and_records_nothing(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE.partition("def test_a_mode")[0] + TIMED)
    out, _ = folder("-n", "2", "--linbench-db", "x.db", code=1)
    assert out.count(pytest_plugin.UNDER_XDIST) == 2  # as the reason of a skip, and in the summary
    assert "1 failed, 2 passed, 2 skipped" in out
    assert not (folder.folder / "x.db").exists()


def test_a_database_that_cannot_be_written_is_told_before_anything_is_timed(folder):
    (folder.folder / "test_x.py").write_text(TIMED)
    sqlite3.connect(folder.folder / "other.db").execute("CREATE TABLE mine (x)")
    out, err = folder("--linbench-db", "other.db", code=4)
    assert "holds other tables" in err
    assert "Traceback" not in out + err


def test_the_device_clock_refuses_where_there_is_no_device(folder):
    (folder.folder / "test_x.py").write_text(TIMED.partition("def test_timed_and_failed")[0])
    words = ("--benchmark-timer=linbench.pytest_plugin.cuda_clock", "--linbench-db", "x.db")
    out, _ = folder(*words, code=1)
    assert out.count("no CUDA device is visible here, and the wall clock does not stand in for it") >= 2
    assert "2 failed" in out
    assert Sessions(str(folder.folder / "x.db")).summaries() == []


def test_the_device_clock_is_made_once_and_read(monkeypatch):
    made = []

    def make():
        made.append(1)
        return iter([0.5, 0.75]).__next__

    monkeypatch.setattr(pytest_plugin, "_clock", None)
    monkeypatch.setattr(pytest_plugin, "_new_clock", make)
    assert [pytest_plugin.cuda_clock(), pytest_plugin.cuda_clock()] == [0.5, 0.75]
    assert made == [1]


def test_pytest_starts_without_torch_and_without_the_harness(folder):
    (folder.folder / "test_x.py").write_text(
        "import sys\n\ndef test_light():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert not loaded & {'torch', 'sqlalchemy', 'pandas', 'pydantic', 'numpy'}\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'linbench'}\n"
        "    assert ours == {'linbench', 'linbench.pytest_plugin'}\n"
    )
    out, _ = folder()
    assert "1 passed" in out


def test_the_entry_point_has_the_name_that_p_takes():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {pytest_plugin.__name__: pytest_plugin.__name__}
