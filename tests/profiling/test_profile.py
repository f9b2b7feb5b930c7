"""Profiles of real calls: what they account for, where they are kept, and that timing never sees them."""

import ast
import gzip
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import accounted
import pytest
import torch
from timeouts import timeout_s

import linbench as package
from linbench.cli import main
from linbench.core.case import Case
from linbench.core.codec import decode
from linbench.core.errors import UsageError
from linbench.core.measurement import Status
from linbench.core.profile import Kind, Profile
from linbench.core.registry import registry
from linbench.execution.schedule import Job
from linbench.measure.call import Call, InputsInLayout
from linbench.profiling import plain, session
from linbench.profiling.artifact import Artifacts
from linbench.profiling.ranges import in_ranges, ranges
from linbench.profiling.session import profile
from linbench.profiling.span import Span
from linbench.profiling.timeline import Timeline
from linbench.profiling.torch_profiler import EMPTY, edges_s, kind_of, profile_call
from linbench.store.profiles import Profiles

OURS = ("linear", "retention", "lightning", "simple_gla", "softmax")
CASE = ["--T", "256", "--H", "2", "--D", "32", "--device", "cpu"]


@pytest.fixture
def one_thread(monkeypatch):
    monkeypatch.setattr(plain, "PROFILED_S", 0.01)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def call_of(loaded, name, **more):
    implementation = loaded.implementation(name)
    operator = loaded.operator(implementation.operator)
    case = Case(**{"B": 1, "T": 512, "H": 2, "K": 32, "V": 32, **more})
    return Call(operator, implementation, case, InputsInLayout(operator, case))


def ours(loaded):
    """Return our implementations that run on this CPU; compiling flex takes too long."""
    found = [one for one in loaded.implementations() if one.operator in OURS and accounted.cases_of(one)]
    return [one for one in found if "linbench_impls" in one.origin and one.name != "softmax/flex"]


def test_every_implementation_on_the_cpu_is_accounted_for(loaded):
    """In a process of its own: what ran before in this one must not matter."""
    due = {
        (one.name, case.mode): "bwd,fwd" if case.mode == "fwd_bwd" else case.mode
        for one in ours(loaded)
        for case in accounted.cases_of(one)
    }
    assert {("linear/chunk", "decode"), ("linear/recurrent", "fwd_bwd")} <= due.keys()
    assert {("retention/chunk", "prefill"), ("softmax/flash", "fwd")} <= due.keys()
    command = [sys.executable, accounted.__file__, *dict.fromkeys(name for name, _ in due)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s(200))
    assert done.returncode == 0, done.stderr
    looked = [line.split() for line in done.stdout.splitlines()]
    assert {(name, mode): phases for name, mode, _, phases in looked} == due
    times = sum(int(times) for _, _, times, _ in looked)
    print(f"{len(due)} cases were profiled {times} times")  # noqa: T201 - pytest -s shows it


def test_what_a_range_takes_outside_of_it_is_the_median_of_empty_ones():
    found = [Span(EMPTY, "user_annotation", 1, start, start + 100) for start in (5_000, 1_000, 3_000)]
    found.append(Span("linear/x fwd", "user_annotation", 1, 2_000, 2_900))
    assert edges_s(found, [1.1e-6, 1.3e-6, 9e-6]) == pytest.approx(1.2e-6)


@pytest.mark.usefixtures("one_thread")
def test_lines_are_what_the_call_does(loaded, tmp_path):
    found = profile_call(call_of(loaded, "linear/naive", mode="fwd_bwd"), tmp_path / "trace.json.gz")
    (product,) = (line for line in found.lines if (line.phase, line.name) == ("fwd", "aten::bmm"))
    assert product.calls == 2
    assert product.flops == 2 * 2 * 512**2 * (32 + 32)
    scores, rows = 4 * 2 * 512**2, 4 * 2 * 512 * 32
    assert product.bytes == 2 * scores + 4 * rows
    assert {line.phase for line in found.lines} == {"fwd", "bwd"}
    assert {line.name for line in found.lines} >= {"BmmBackward0", "aten::elu", "aten::tril", "Python"}
    events = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))["traceEvents"]
    names = {event.get("name") for event in events}
    assert {"linear/naive fwd", "linear/naive bwd", "aten::bmm"} <= names


@pytest.mark.parametrize(
    ("name", "called", "kind"),
    [
        ("aten::bmm", False, Kind.OPERATOR),
        ("aten::add", True, Kind.OPERATOR),
        ("aten::copy_", False, Kind.OPERATOR),
        ("aten::matmul", True, Kind.DISPATCHER),
        ("aten::clone", True, Kind.DISPATCHER),
        ("aten::transpose", True, Kind.DISPATCHER),
        ("aten::empty_strided", False, Kind.DISPATCHER),
        ("autograd::engine::evaluate_function: BmmBackward0", True, Kind.DISPATCHER),
        ("BmmBackward0", True, Kind.DISPATCHER),
    ],
)
def test_what_an_operator_s_own_time_is_of(name, called, kind):
    assert kind_of(name, called) is kind


def test_in_ranges_a_call_returns_what_it_returns_when_it_is_timed(loaded):
    for mode in ("fwd", "fwd_bwd", "prefill", "decode"):
        call = call_of(loaded, "linear/chunk", mode=mode, T=64)
        call.prepare()
        timed = call()
        call.prepare()
        ranged = in_ranges(call, ranges(call))
        for one, other in zip(flat(timed), flat(ranged), strict=True):
            assert torch.equal(one, other)
            assert one.requires_grad == other.requires_grad


def flat(returned):
    if isinstance(returned, torch.Tensor):
        return [returned]
    return [tensor for part in returned for tensor in flat(part)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_range_names_implementation_and_phase_and_is_one_of_nvtx_only_on_cuda(loaded, monkeypatch, device):
    told = []
    monkeypatch.setattr(torch.cuda.nvtx, "range_start", lambda name: told.append(name) or len(told))
    monkeypatch.setattr(torch.cuda.nvtx, "range_end", lambda number: told.append(number))
    call = call_of(loaded, "linear/naive", mode="fwd_bwd", T=16)
    call.case = replace(call.case, device=device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        in_ranges(call, ranges(call))
    seen = [event.name for event in profiled.events() if event.name.startswith("linear/")]
    assert seen == ["linear/naive fwd", "linear/naive bwd"]
    assert told == (["linear/naive fwd", 1, "linear/naive bwd", 3] if device == "cuda" else [])


def test_nothing_that_times_can_reach_the_profiler():
    """Rows are the same with and without a profile: no module of a timed process names one of these.

    The parent of both is the command line, and a profile is taken in a process of its own.
    """
    root = Path(package.__file__).parent
    timing = [path for room in ("core", "measure", "execution") for path in (root / room).rglob("*.py")]
    timing += [path for outer in ("impls", "kernels") for path in (root.parent / outer).rglob("*.py")]
    assert len(timing) > 40
    for path in timing:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("linbench.profiling") for name in names), path
            if isinstance(node, ast.Name | ast.Attribute):
                called = node.id if isinstance(node, ast.Name) else node.attr
                assert called not in ("record_function", "_RecordFunctionFast", "_CFuncPtr"), path


@pytest.fixture(scope="module")
def profiled(command_line):
    """The command line in a folder where two implementations were profiled."""
    command = command_line("profiled")
    command.environment |= {"OMP_NUM_THREADS": "1"}
    words = [*CASE, "--mode", "fwd_bwd"]
    command.row = json.loads(command("profile", "linear/chunk", *words, "--format", "json")[0])
    command.text, _ = command("profile", "linear/native", *words, "--tool", "all")
    command.memory, _ = command("profile", "linear/naive", *CASE, "--tool", "memory", "--format", "json")
    store = Profiles(str(command.folder / "results/linbench.db"))
    command.profiles = [store.find(number) for number in "12"]
    return command


def test_a_profile_is_kept_with_its_trace(profiled):
    found = profiled.profiles[0]
    assert found.status is Status.OK
    assert decode(Profile, profiled.row) == found
    assert profiled.row["page"] is None
    assert found.breakdown.plain_s > 0
    assert found.breakdown.threads == 1
    assert found.environment.libraries["torch"]
    assert found.environment.code_of("linear/chunk").name == "linbench"
    artifacts = Artifacts(str(profiled.folder / "results/linbench.db"))
    assert list(found.artifacts) == ["trace"]
    events = json.loads(gzip.decompress(artifacts.read(found.artifacts["trace"])))["traceEvents"]
    assert any(event.get("name") == "linear/chunk fwd" and event["ph"] == "X" for event in events)
    tables = sqlite3.connect(profiled.folder / "results/linbench.db")
    assert tables.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert tables.execute("SELECT count(*) FROM measurements").fetchone() == (0,)


@pytest.fixture(scope="module")
def native(profiled):
    """The profile of linear/native, by time and by memory."""
    found = profiled.profiles[1]
    if found.status is Status.UNSUPPORTED:
        pytest.skip(found.reason)
    return found


def test_a_c_kernel_has_a_line_of_its_own(native):
    lines = {(line.phase, line.name): line for line in native.breakdown.lines}
    for phase, name in (("fwd", "forward"), ("bwd", "backward")):
        line = lines[phase, f"ctypes::linear_attention_{name}"]
        assert (line.kind, line.calls) == (Kind.FOREIGN, 1)


def test_text_says_what_it_means(profiled, native):
    for said in (
        "of this time is Python and the dispatcher",
        "page fault",
        "At its peak a call holds",
        "page: reports/profile-2.html",
        f"trace: results/artifacts/{native.artifacts['trace']}.json.gz",
        f"memory: results/artifacts/{native.artifacts['memory']}.json.gz",
    ):
        assert said in profiled.text
    page = (profiled.folder / "reports/profile-2.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    kept = gzip.decompress(Artifacts(str(profiled.folder / "results/x.db")).read(native.artifacts["memory"]))
    assert decode(Timeline, json.loads(kept)).peak() == dict(native.memory)


def test_a_line_of_json_names_the_page_that_it_drew(profiled):
    (line,) = profiled.memory.splitlines()
    row = json.loads(line)
    assert row["page"] == f"reports/profile-{row['id']}.html"
    page = (profiled.folder / row["page"]).read_text(encoding="utf-8")
    assert "Memory of linear/naive" in page
    assert row["memory"]["peak"] > 0
    assert row["breakdown"] is None


def test_two_profiles_are_compared(profiled):
    out, _ = profiled("profile", "--compare", "linear/chunk", "2")
    assert out.startswith("A: profile 1: linear/chunk ")
    (line,) = (line.split() for line in out.splitlines() if line.startswith("fwd    aten::bmm "))
    assert line[2] == "5.00"
    assert line[-2].startswith("-")
    out, _ = profiled("profile", "--compare", "1", "2", "--format", "json")
    pairs = [json.loads(line) for line in out.splitlines()]
    assert {pair["phase"] for pair in pairs} == {"fwd", "bwd"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "name an implementation"),
        (["linear/chonk"], 2, "did you mean linear/chunk"),
        (["--compare", "linear/chunk", "9"], 2, "holds no profile '9'"),
        (["linear/chunk", "--compare", "1", "2"], 2, "leave out IMPLEMENTATION"),
        (["linear/chunk", "--T", "0"], 2, "--T: '0' is not a positive count"),
    ],
)
def test_a_mistake_is_one_line(profiled, words, code, said, capsys, monkeypatch):
    monkeypatch.chdir(profiled.folder)
    with pytest.raises(SystemExit) as ended:
        main(["profile", *words])
    assert ended.value.code == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


BAD = """
from linbench import implementation

@implementation("linear", "bad")
def bad(q, k, v):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("import os; os.abort()", Status.CRASHED, "ended by SIGABRT"),
        ("import time; time.sleep(600)", Status.TIMEOUT, "--timeout"),
        ("import os; os._exit(3)", Status.CRASHED, "exited with code 3"),
        ("raise SystemExit('no more')", Status.ERROR, "SystemExit: no more"),
    ],
)
def test_a_process_that_ends_without_an_answer_says_how(tmp_path, body, status, reason):
    plugin = tmp_path / "bad.py"
    plugin.write_text(BAD.format(body=body), encoding="utf-8")
    registry.load([plugin])
    job = Job("linear/bad", "linear", Case(1, 64, 2, 16, 16))
    artifacts = Artifacts(str(tmp_path / "x.db"))
    bound_s = 1.0 if status is Status.TIMEOUT else timeout_s(60)
    told = profile(registry, job, "torch", plugins=[str(plugin)], timeout_s=bound_s, artifacts=artifacts)
    assert (told.status, told.breakdown, told.artifacts) == (status, None, {})
    assert reason in told.reason


def test_what_cannot_run_is_not_tried(loaded, tmp_path, monkeypatch):
    artifacts = Artifacts(str(tmp_path / "x.db"))
    job = Job("linear/naive", "linear", Case(1, 64, 2, 16, 16, mode="decode"))
    told = profile(loaded, job, "torch", timeout_s=0.0, artifacts=artifacts)
    assert told.status is Status.UNSUPPORTED
    assert "has no decode mode" in told.reason
    monkeypatch.setattr(session, "safe_memory_bytes", lambda: 1000)
    job = Job("linear/naive", "linear", Case(1, 64, 2, 16, 16))
    told = profile(loaded, job, "torch", timeout_s=0.0, artifacts=artifacts)
    assert told.status is Status.SKIPPED
    assert "predicted to need" in told.reason


def test_an_artifact_that_was_changed_is_refused(tmp_path):
    file = tmp_path / "x.json.gz"
    file.write_bytes(gzip.compress(b"{}"))
    artifacts = Artifacts(str(tmp_path / "x.db"))
    digest = artifacts.keep(file)
    assert artifacts.keep(file) == digest
    assert artifacts.read(digest) == file.read_bytes()
    artifacts.path(digest).write_bytes(b"other")
    with pytest.raises(UsageError, match="is not what was kept"):
        artifacts.read(digest)
    with pytest.raises(UsageError, match="profile again"):
        artifacts.read("0" * 64)
