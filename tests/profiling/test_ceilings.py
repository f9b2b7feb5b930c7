"""What a machine does at most: the sizes that are copied, and what later runs are told."""

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
from linbench.profiling.ceiling import keep, kept
from linbench.profiling.session import find_ceilings


def rate(name, best, threads=1, device="cpu"):
    return Ceiling(name, device, threads, "B/s", best, best / 2, best / 3, "it")


FOUND = [
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
def test_a_working_set_is_half_of_what_a_thread_has_of_a_cache():
    sizes = {"L1": 16 << 10, "L2": 512 << 10, "L3": 4 << 20, "memory": 128 << 20}
    assert peaks.working_sets(8) == sizes
    assert peaks.working_sets(2) == sizes | {"L3": 8 << 20}


def test_where_the_caches_are_not_known_only_memory_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(peaks, "CACHES", tmp_path)
    assert peaks.working_sets(2) == {"memory": 2**27}


@pytest.mark.usefixtures("caches")
def test_every_ceiling_is_measured(monkeypatch):
    monkeypatch.setattr(peaks, "CPU_SIDE", 64)
    monkeypatch.setattr(peaks, "LEAST_MEMORY_BYTES", 2**22)
    monkeypatch.setattr(peaks, "COPIED_S", 0.001)
    found = list(peaks.measured("cpu"))
    names = {one.name for one in found}
    assert names >= {"copy.L1", "copy.L2", "copy.L3", "copy.memory", "matmul.float32", "dispatch", "timer"}
    for one in found:
        ordered = sorted((one.best, one.median, one.worst), reverse=one.unit != "s")
        assert ordered == [one.best, one.median, one.worst]
        assert one.best > 0
    (step,) = (one for one in found if one.name == "timer")
    assert step.best < 1e-3


def test_a_cache_holds_twice_what_every_thread_copies_and_the_memory_whatever_there_is():
    assert [peaks._copy("L2", 4096, threads).holds_bytes for threads in (1, 2)] == [8192, 16384]
    assert peaks._copy("memory", 4096, 2).holds_bytes is None


@pytest.mark.serial  # it compares real times
def test_the_copy_reads_and_writes_what_it_says():
    found = peaks._copy("L1", 4096, 1)
    assert "numpy.copyto of 2048 bytes" in found.command
    slower = peaks._copy("memory", 2**26, 1)
    assert found.best > slower.best


def test_later_runs_have_the_ceilings_of_their_machine(tmp_path, monkeypatch):
    db = str(tmp_path / "results" / "x.db")
    assert kept(db) == NO_CEILINGS
    keep(FOUND, db)
    assert kept(db).entries == tuple(FOUND)
    assert kept(db).measured_at
    plan = api.plan_run(
        None, impl="linear/naive", device="cpu", settings=Settings(once=True), axes=typed_axes(T="16")
    )
    run = api.measure(plan, db=db)
    assert run.environment.ceilings == kept(db)
    monkeypatch.setattr(ceiling, "this_machine", lambda: Machine("another", 2, ()))
    assert kept(db) == NO_CEILINGS


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "ceilings.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="doctor --ceilings` makes it anew"):
        kept(str(tmp_path / "x.db"))


def test_what_does_not_come_to_an_end_is_refused(monkeypatch):
    launch = replace(single.profiling_launch("cpu"), module="linbench.core.errors")
    monkeypatch.setattr(session, "profiling_launch", lambda _: launch)
    with pytest.raises(EnvironmentRefused, match="cannot be started: exited with code 0"):
        find_ceilings("cpu")


def test_the_command_prints_and_keeps_them(tmp_path, monkeypatch, capsys):
    from linbench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "find_ceilings", lambda device: FOUND if device == "cpu" else [])
    with pytest.raises(SystemExit):
        main(["doctor", "--ceilings", "--device", "cpu"])
    out = capsys.readouterr().out
    assert "copy.memory     cpu     2        20.0 GB/s" in out
    assert "stored in results/ceilings.json" in out
    stored = json.loads((tmp_path / "results/ceilings.json").read_text())
    assert len(stored["ceilings"]["entries"]) == len(FOUND)
