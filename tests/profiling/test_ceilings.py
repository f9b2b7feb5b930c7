"""The ceilings of a machine: the sizes of the copies, and the ceilings in later runs."""

import json
from dataclasses import replace

import pytest

from linbench import api
from linbench.core.ceiling import Ceiling
from linbench.core.environment import NO_CEILINGS, Machine
from linbench.core.errors import EnvironmentRefused, UsageError
from linbench.core.grid import typed_axes
from linbench.core.plan import Settings
from linbench.profiling import ceiling, peaks, session, single
from linbench.profiling.ceiling import load_ceilings, save_ceilings
from linbench.profiling.session import find_ceilings


def rate(name, best, threads=1, device="cpu"):
    return Ceiling(name, device, threads, "B/s", best, best / 2, best / 3, "command")


CEILINGS = [
    rate("copy.L1", 1e12),
    rate("copy.memory", 1e10),
    rate("copy.memory", 2e10, 2),
    rate("matmul.float32", 5e10),
    rate("matmul.float32", 3e10, 2),
    rate("copy.memory", 3e12, device="cuda"),
]


@pytest.fixture
def caches(tmp_path, monkeypatch):
    for number, (kind, level, size, shared) in enumerate(
        [("Data", 1, "32K", "0"), ("Instruction", 1, "64K", "0"), ("Unified", 2, "1024K", "0"),
         ("Unified", 3, "32768K", "0-2,8")]
    ):  # fmt: skip
        index = tmp_path / f"index{number}"
        index.mkdir()
        for name, text in (("type", kind), ("level", level), ("size", size), ("shared_cpu_list", shared)):
            (index / name).write_text(f"{text}\n", encoding="ascii")
    monkeypatch.setattr(peaks, "CACHES", tmp_path)


@pytest.mark.usefixtures("caches")
def test_a_working_set_is_half_of_a_thread_s_share_of_a_cache():
    sizes = {"L1": 16 << 10, "L2": 512 << 10, "L3": 4 << 20, "memory": 128 << 20}
    assert peaks.working_sets(8) == sizes
    assert peaks.working_sets(2) == sizes | {"L3": 8 << 20}


def test_without_known_caches_only_memory_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(peaks, "CACHES", tmp_path)
    assert peaks.working_sets(2) == {"memory": 2**27}


@pytest.mark.usefixtures("caches")
def test_every_ceiling_is_measured(monkeypatch):
    monkeypatch.setattr(peaks, "CPU_SIDE", 64)
    monkeypatch.setattr(peaks, "LEAST_MEMORY_BYTES", 2**22)
    monkeypatch.setattr(peaks, "COPIED_S", 0.001)
    ceilings = list(peaks.measure_ceilings("cpu"))
    names = {entry.name for entry in ceilings}
    assert names >= {"copy.L1", "copy.L2", "copy.L3", "copy.memory", "matmul.float32", "dispatch", "timer"}
    for entry in ceilings:
        values = [entry.best, entry.median, entry.worst]
        assert values == sorted(values, reverse=entry.unit != "s")
        assert entry.best > 0
    (step,) = (entry for entry in ceilings if entry.name == "timer")
    assert step.best < 1e-3


def test_a_cache_holds_twice_the_copies_of_all_threads_and_memory_has_no_limit():
    assert [peaks._copy("L2", 4096, threads).holds_bytes for threads in (1, 2)] == [8192, 16384]
    assert peaks._copy("memory", 4096, 2).holds_bytes is None


@pytest.mark.serial  # it compares real times
def test_a_copy_in_the_cache_is_faster_than_in_memory():
    cache = peaks._copy("L1", 4096, 1)
    assert "numpy.copyto of 2048 bytes" in cache.command
    assert cache.best > peaks._copy("memory", 2**26, 1).best


def test_later_runs_have_the_ceilings_of_their_machine(tmp_path, monkeypatch):
    db = str(tmp_path / "results" / "x.db")
    assert load_ceilings(db) == NO_CEILINGS
    save_ceilings(CEILINGS, db)
    assert load_ceilings(db).entries == tuple(CEILINGS)
    assert load_ceilings(db).measured_at
    plan = api.plan_run(
        None, impl="linear/naive", device="cpu", settings=Settings(once=True), axes=typed_axes(T="16")
    )
    run = api.measure(plan, db=db)
    assert run.environment.ceilings == load_ceilings(db)
    monkeypatch.setattr(ceiling, "this_machine", lambda: Machine("another", 2, ()))
    assert load_ceilings(db) == NO_CEILINGS


def test_a_damaged_file_is_a_usage_error(tmp_path):
    (tmp_path / "ceilings.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="doctor --ceilings` writes it again"):
        load_ceilings(str(tmp_path / "x.db"))


def test_a_process_that_fails_to_start_is_an_error(monkeypatch):
    launch = replace(single.profiling_launch("cpu"), module="linbench.core.errors")
    monkeypatch.setattr(session, "profiling_launch", lambda _: launch)
    with pytest.raises(EnvironmentRefused, match="cannot be started: exited with code 0"):
        find_ceilings("cpu")


def test_the_command_prints_and_stores_the_ceilings(tmp_path, monkeypatch, capsys):
    from linbench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "find_ceilings", lambda device: CEILINGS if device == "cpu" else [])
    with pytest.raises(SystemExit):
        main(["doctor", "--ceilings", "--device", "cpu"])
    out = capsys.readouterr().out
    assert "copy.memory     cpu     2        20.0 GB/s" in out
    assert "stored in results/ceilings.json" in out
    stored = json.loads((tmp_path / "results/ceilings.json").read_text())
    assert len(stored["ceilings"]["entries"]) == len(CEILINGS)
