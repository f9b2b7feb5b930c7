"""Workers that are forked from a process which has imported everything."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from timeouts import timeout_s

from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.execution.client import WorkerLost, spawn
from linbench.execution.fork import Zygote
from linbench.execution.messages import MESSAGE_VERSION, Check, PrepareCase, ReleaseCases
from linbench.execution.process import Launch

PLUGIN = """
import os, sys
from linbench import Case, implementation
print("loaded by", os.getpid())
@implementation("linear", "dies")
def dies(q, k, v):
    print("last words", file=sys.stderr, flush=True)
    os._exit(7)
"""
GIB = 2**30


PLAIN = Launch((), 4 * GIB)


@pytest.fixture(scope="module")
def zygote():
    made = Zygote(PLAIN)
    yield made
    made.end()


@pytest.fixture
def dying(tmp_path):
    plugin = tmp_path / "dying.py"
    plugin.write_text(PLUGIN)
    return Launch((str(plugin),), 4 * GIB)


def case(loaded):
    from linbench import Case

    return loaded.operator("linear").complete(Case(1, 16, 1, 4, 4))


def test_each_worker_is_a_process_of_its_own_in_a_session_of_its_own(zygote):
    one, other = zygote.fork(PLAIN), zygote.fork(PLAIN)
    try:
        pids = [worker._process.pid for worker in (one, other)]
        assert len({*pids, zygote._process.pid, os.getpid()}) == 4
        assert [os.getsid(pid) for pid in pids] == pids
        assert one.about.torch == other.about.torch
    finally:
        one.end()
        other.end()


def test_a_death_is_told_with_its_code_and_last_words_and_the_next_worker_is_sound(zygote, loaded, dying):
    worker = zygote.fork(dying)
    opening = PrepareCase("linear", case(loaded), None)
    expected_values = worker.ask(opening, timeout_s(60)).expected_values
    with pytest.raises(WorkerLost, match="exited with code 7: last words") as lost:
        worker.ask(Check("linear/dies", "cpu", 60.0), timeout_s(60))
    assert lost.value.status is Status.CRASHED
    next_one = zygote.fork(PLAIN)
    assert next_one.ask(opening, timeout_s(60)).expected_values == expected_values
    assert (
        next_one.ask(replace(opening, expected_values=expected_values), timeout_s(60)).expected_values is None
    )
    next_one.end()


def test_workers_of_one_zygote_load_their_own_plugins_from_their_own_path(zygote, dying, tmp_path):
    for name in ("linbench_impls", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "linbench_impls" / "__init__.py").write_text("raise OSError('no such kernel')")
    other = replace(PLAIN, path=(str(tmp_path), *PLAIN.path))
    found = []
    for launch in (dying, other, PLAIN):
        worker = zygote.fork(launch)
        found.append(worker.about)
        worker.end()
    assert ["linear/dies" in about.implementations for about in found] == [True, False, False]
    assert ["linear/chunk" in about.implementations for about in found] == [True, False, True]
    assert next(iter(found[1].broken.values())) == "OSError: no such kernel"


def test_an_ended_worker_leaves_no_process(zygote):
    worker = zygote.fork(PLAIN)
    pid = worker._process.pid
    worker.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_hung_worker_is_ended(zygote):
    worker = zygote.fork(PLAIN)
    os.kill(worker._process.pid, signal.SIGSTOP)
    with pytest.raises(WorkerLost) as lost:
        worker.ask(ReleaseCases(), 0.2)
    assert lost.value.status is Status.TIMEOUT


def test_workers_die_with_what_they_were_forked_from():
    mortal = Zygote(PLAIN)
    worker = mortal.fork(PLAIN)
    pid = worker._process.pid
    mortal.end()
    deadline = time.monotonic() + timeout_s(10)
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break  # nobody reaps the orphan in a container without an init
        time.sleep(0.02)
    assert time.monotonic() < deadline
    worker.end()
    with pytest.raises(EnvironmentRefused, match="no worker can be forked"):
        mortal.fork(PLAIN)


@pytest.mark.parametrize(
    ("interpreter", "reason"),
    [
        ("/nowhere/python", "/nowhere/python cannot be run: No such file or directory"),
        ("/bin/false", "no worker can be started with /bin/false: it does not answer"),
    ],
)
def test_what_cannot_be_started_is_said(interpreter, reason, request):
    with pytest.raises(EnvironmentRefused, match=reason):  # noqa: PT012 - at either step
        made = Zygote(Launch((), GIB, interpreter=interpreter))
        request.addfinalizer(made.end)
        made.fork(PLAIN)


def test_another_message_version_is_refused(monkeypatch):
    monkeypatch.setattr("linbench.execution.client.MESSAGE_VERSION", 99)
    said = f"speaks version {MESSAGE_VERSION} of the messages and this linbench 99; install the same"
    with pytest.raises(EnvironmentRefused, match=said):
        spawn(Launch((), 4 * GIB))
