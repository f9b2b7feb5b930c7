"""The pytest plugin, in separate runs of pytest as a user starts them."""

import sqlite3
from pathlib import Path

import pytest

from linbench import pytest_plugin
from linbench.store.store import Store

FIXTURE_TESTS = """
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
BENCHMARK_TESTS = """
import pytest

@pytest.mark.parametrize("n", [10, 20])
def test_timed(benchmark, n):
    benchmark.pedantic(sum, (range(n),), rounds=6, iterations=3)
"""


@pytest.fixture
def folder(command_line):
    """The command line of pytest with the plugin, in a new folder."""
    command = command_line("plugin")
    arguments = ("-p", "linbench.pytest_plugin", "-p", "no:cacheprovider", "-q", "-ra")
    command.program = ("-m", "pytest", *arguments)
    return command


def test_the_fixture_checks_measures_and_stores(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE_TESTS)
    out, _ = folder.process("--linbench-db", "new/x.db", code=1)
    assert "2 failed, 3 passed" in out
    assert "simple_gla/mamba-ssd B1 T16 H8 K64 V64 float32 decode cpu: unsupported: has no decode mode" in out
    assert "2 cases; give one value per axis" in out
    store = Store(str(folder.folder / "new/x.db"))
    statuses = [summary.statuses for summary in reversed(store.summaries())]
    assert statuses == [{"ok": 1}, {"ok": 1}, {"unsupported": 1}, {"unsupported": 1}]
    assert store.problems() == []


def test_the_fixture_needs_neither_a_database_nor_pytest_benchmark(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE_TESTS)
    out, _ = folder.process("-p", "no:benchmark", "-k", "may_fail")
    assert "1 passed" in out
    assert [path.name for path in folder.folder.iterdir() if path.suffix in (".db", ".jsonl")] == []


def test_nothing_is_measured_under_xdist_and_the_reason_is_printed(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE_TESTS.partition("def test_a_mode")[0] + BENCHMARK_TESTS)
    out, _ = folder.process("-n", "2", "--linbench-db", "x.db")
    assert out.count(pytest_plugin.UNDER_XDIST) == 2  # the reason of a skip, and a line of the summary
    assert "2 passed, 1 skipped" in out
    assert not (folder.folder / "x.db").exists()


def test_an_unusable_database_is_reported_before_anything_is_measured(folder):
    (folder.folder / "test_x.py").write_text(FIXTURE_TESTS)
    sqlite3.connect(folder.folder / "other.db").execute("CREATE TABLE mine (x)")
    out, err = folder.process("--linbench-db", "other.db", code=4)
    assert "holds other tables" in err
    assert "Traceback" not in out + err


def test_the_device_clock_fails_without_a_device(folder):
    (folder.folder / "test_x.py").write_text(BENCHMARK_TESTS)
    out, _ = folder.process("--benchmark-timer=linbench.pytest_plugin.cuda_clock", code=1)
    assert out.count("no CUDA device is visible here, and the wall clock does not replace it") >= 2
    assert "2 failed" in out


def test_the_device_clock_is_created_once_and_then_read(monkeypatch):
    calls = []

    def new_clock():
        calls.append(1)
        return iter([0.5, 0.75]).__next__

    monkeypatch.setattr(pytest_plugin, "_clock", None)
    monkeypatch.setattr(pytest_plugin, "_new_clock", new_clock)
    assert [pytest_plugin.cuda_clock(), pytest_plugin.cuda_clock()] == [0.5, 0.75]
    assert calls == [1]


def test_pytest_starts_without_importing_torch_or_the_harness(folder):
    (folder.folder / "test_x.py").write_text(
        "import sys\n\ndef test_light():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert not loaded & {'torch', 'sqlalchemy', 'pandas', 'pydantic', 'numpy'}\n"
        "    modules = {name for name in sys.modules if name.partition('.')[0] == 'linbench'}\n"
        "    assert modules == {'linbench', 'linbench.pytest_plugin'}\n"
    )
    out, _ = folder.process()
    assert "1 passed" in out


def test_the_entry_point_has_the_name_that_the_option_p_accepts():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {pytest_plugin.__name__: pytest_plugin.__name__}
