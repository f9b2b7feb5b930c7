"""Profiles of real calls: the time they account for, their storage, and their separation from timing."""

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

OPERATORS = ("linear", "retention", "lightning", "simple_gla", "softmax")
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


def builtin(loaded):
    """Return the built-in implementations that run on this CPU; compiling flex takes too long."""
    return [
        implementation
        for implementation in loaded.implementations()
        if implementation.operator in OPERATORS
        and "linbench_impls" in implementation.origin
        and implementation.name != "softmax/flex"
        and accounted.cases_of(implementation)
    ]


def test_every_implementation_on_the_cpu_is_accounted_for(loaded):
    """In a separate process, so that earlier tests in this one have no effect."""
    expected = {
        (implementation.name, case.mode): "bwd,fwd" if case.mode == "fwd_bwd" else case.mode
        for implementation in builtin(loaded)
        for case in accounted.cases_of(implementation)
    }
    assert {("linear/chunk", "decode"), ("linear/recurrent", "fwd_bwd")} <= expected.keys()
    assert {("retention/chunk", "prefill"), ("softmax/flash", "fwd")} <= expected.keys()
    command = [sys.executable, accounted.__file__, *dict.fromkeys(name for name, _ in expected)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s(200))
    assert process.returncode == 0, process.stderr
    results = [line.split() for line in process.stdout.splitlines()]
    assert {(name, mode): phases for name, mode, _, phases in results} == expected
    profiles = sum(int(count) for _, _, count, _ in results)
    print(f"{len(expected)} cases were profiled {profiles} times")  # noqa: T201 - pytest -s shows it


def test_the_time_of_a_range_outside_itself_is_the_median_over_empty_ranges():
    trace = [Span(EMPTY, "user_annotation", 1, start, start + 100) for start in (5_000, 1_000, 3_000)]
    trace.append(Span("linear/x fwd", "user_annotation", 1, 2_000, 2_900))
    assert edges_s(trace, [1.1e-6, 1.3e-6, 9e-6]) == pytest.approx(1.2e-6)


@pytest.mark.usefixtures("one_thread")
def test_lines_are_the_operators_of_the_call(loaded, tmp_path):
    breakdown = profile_call(call_of(loaded, "linear/naive", mode="fwd_bwd"), tmp_path / "trace.json.gz")
    (product,) = (line for line in breakdown.lines if (line.phase, line.name) == ("fwd", "aten::bmm"))
    assert product.calls == 2
    assert product.flops == 2 * 2 * 512**2 * (32 + 32)
    scores, rows = 4 * 2 * 512**2, 4 * 2 * 512 * 32
    assert product.bytes == 2 * scores + 4 * rows
    assert {line.phase for line in breakdown.lines} == {"fwd", "bwd"}
    assert {line.name for line in breakdown.lines} >= {"BmmBackward0", "aten::elu", "aten::tril", "Python"}
    events = json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))["traceEvents"]
    names = {event.get("name") for event in events}
    assert {"linear/naive fwd", "linear/naive bwd", "aten::bmm"} <= names


@pytest.mark.parametrize(
    ("name", "has_children", "kind"),
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
def test_the_kind_of_an_operator_s_self_time(name, has_children, kind):
    assert kind_of(name, has_children) is kind


def test_a_call_in_ranges_returns_the_same_as_a_timed_call(loaded):
    for mode in ("fwd", "fwd_bwd", "prefill", "decode"):
        call = call_of(loaded, "linear/chunk", mode=mode, T=64)
        call.prepare()
        expected = call()
        call.prepare()
        actual = in_ranges(call, ranges(call))
        for a, b in zip(flat(expected), flat(actual), strict=True):
            assert torch.equal(a, b)
            assert a.requires_grad == b.requires_grad


def flat(returned):
    if isinstance(returned, torch.Tensor):
        return [returned]
    return [tensor for part in returned for tensor in flat(part)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_range_names_implementation_and_phase_and_uses_nvtx_only_on_cuda(loaded, monkeypatch, device):
    nvtx = []
    monkeypatch.setattr(torch.cuda.nvtx, "range_start", lambda name: nvtx.append(name) or len(nvtx))
    monkeypatch.setattr(torch.cuda.nvtx, "range_end", lambda number: nvtx.append(number))
    call = call_of(loaded, "linear/naive", mode="fwd_bwd", T=16)
    call.case = replace(call.case, device=device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        in_ranges(call, ranges(call))
    names = [event.name for event in profiled.events() if event.name.startswith("linear/")]
    assert names == ["linear/naive fwd", "linear/naive bwd"]
    assert nvtx == (["linear/naive fwd", 1, "linear/naive bwd", 3] if device == "cuda" else [])


def test_no_module_that_times_uses_the_profiler():
    """Rows are the same with and without a profile: no module of a timed process names one of these.

    Only the command line starts both, and a profile is taken in a separate process.
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
                name = node.id if isinstance(node, ast.Name) else node.attr
                assert name not in ("record_function", "_RecordFunctionFast", "_CFuncPtr"), path


@pytest.fixture(scope="module")
def profiled(command_line):
    """The command line in a folder with the profiles of two implementations."""
    command = command_line("profiled")
    command.environment |= {"OMP_NUM_THREADS": "1"}
    options = [*CASE, "--mode", "fwd_bwd"]
    command.row = json.loads(command("profile", "linear/chunk", *options, "--format", "json")[0])
    command.text, _ = command("profile", "linear/native", *options, "--tool", "all")
    command.memory, _ = command("profile", "linear/naive", *CASE, "--tool", "memory", "--format", "json")
    store = Profiles(str(command.folder / "results/linbench.db"))
    command.profiles = [store.find(number) for number in "12"]
    return command


def test_a_profile_is_stored_with_its_trace(profiled):
    stored = profiled.profiles[0]
    assert stored.status is Status.OK
    assert decode(Profile, profiled.row) == stored
    assert profiled.row["page"] is None
    assert stored.breakdown.plain_s > 0
    assert stored.breakdown.threads == 1
    assert stored.environment.libraries["torch"]
    assert stored.environment.code_of("linear/chunk").name == "linbench"
    artifacts = Artifacts(str(profiled.folder / "results/linbench.db"))
    assert list(stored.artifacts) == ["trace"]
    events = json.loads(gzip.decompress(artifacts.read(stored.artifacts["trace"])))["traceEvents"]
    assert any(event.get("name") == "linear/chunk fwd" and event["ph"] == "X" for event in events)
    tables = sqlite3.connect(profiled.folder / "results/linbench.db")
    assert tables.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert tables.execute("SELECT count(*) FROM measurements").fetchone() == (0,)


@pytest.fixture(scope="module")
def native(profiled):
    """The profile of linear/native, of time and memory."""
    stored = profiled.profiles[1]
    if stored.status is Status.UNSUPPORTED:
        pytest.skip(stored.reason)
    return stored


def test_a_c_kernel_has_its_own_line(native):
    lines = {(line.phase, line.name): line for line in native.breakdown.lines}
    for phase, name in (("fwd", "forward"), ("bwd", "backward")):
        line = lines[phase, f"ctypes::linear_attention_{name}"]
        assert (line.kind, line.calls) == (Kind.FOREIGN, 1)


def test_the_text_has_a_diagnosis_and_the_files(profiled, native):
    for text in (
        "of this time is Python and the dispatcher",
        "page fault",
        "At its peak a call holds",
        "page: reports/profile-2.html",
        f"trace: results/artifacts/{native.artifacts['trace']}.json.gz",
        f"memory: results/artifacts/{native.artifacts['memory']}.json.gz",
    ):
        assert text in profiled.text
    page = (profiled.folder / "reports/profile-2.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    artifacts = Artifacts(str(profiled.folder / "results/x.db"))
    timeline = gzip.decompress(artifacts.read(native.artifacts["memory"]))
    assert decode(Timeline, json.loads(timeline)).peak() == dict(native.memory)


def test_a_line_of_json_names_the_page(profiled):
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
    ("arguments", "code", "message"),
    [
        ([], 2, "name an implementation"),
        (["linear/chonk"], 2, "did you mean linear/chunk"),
        (["--compare", "linear/chunk", "9"], 2, "holds no profile '9'"),
        (["linear/chunk", "--compare", "1", "2"], 2, "leave out IMPLEMENTATION"),
        (["linear/chunk", "--T", "0"], 2, "--T: '0' is not a positive count"),
    ],
)
def test_a_usage_error_is_one_line(profiled, arguments, code, message, capsys, monkeypatch):
    monkeypatch.chdir(profiled.folder)
    with pytest.raises(SystemExit) as exit_:
        main(["profile", *arguments])
    assert exit_.value.code == code
    err = capsys.readouterr().err
    assert message in err
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
def test_a_process_that_exits_without_an_answer_is_a_profile_with_a_reason(tmp_path, body, status, reason):
    plugin = tmp_path / "bad.py"
    plugin.write_text(BAD.format(body=body), encoding="utf-8")
    registry.load([plugin])
    job = Job("linear/bad", "linear", Case(1, 64, 2, 16, 16))
    artifacts = Artifacts(str(tmp_path / "x.db"))
    limit_s = 1.0 if status is Status.TIMEOUT else timeout_s(60)
    failed = profile(registry, job, "torch", plugins=[str(plugin)], timeout_s=limit_s, artifacts=artifacts)
    assert (failed.status, failed.breakdown, failed.artifacts) == (status, None, {})
    assert reason in failed.reason


def test_an_unsupported_or_too_large_case_is_not_run(loaded, tmp_path, monkeypatch):
    artifacts = Artifacts(str(tmp_path / "x.db"))
    job = Job("linear/naive", "linear", Case(1, 64, 2, 16, 16, mode="decode"))
    failed = profile(loaded, job, "torch", timeout_s=0.0, artifacts=artifacts)
    assert failed.status is Status.UNSUPPORTED
    assert "has no decode mode" in failed.reason
    monkeypatch.setattr(session, "safe_memory_bytes", lambda: 1000)
    job = Job("linear/naive", "linear", Case(1, 64, 2, 16, 16))
    failed = profile(loaded, job, "torch", timeout_s=0.0, artifacts=artifacts)
    assert failed.status is Status.SKIPPED
    assert "predicted to need" in failed.reason


def test_a_changed_artifact_is_rejected(tmp_path):
    file = tmp_path / "x.json.gz"
    file.write_bytes(gzip.compress(b"{}"))
    artifacts = Artifacts(str(tmp_path / "x.db"))
    digest = artifacts.save(file)
    assert artifacts.save(file) == digest
    assert artifacts.read(digest) == file.read_bytes()
    artifacts.path(digest).write_bytes(b"other")
    with pytest.raises(UsageError, match="do not match its SHA-256"):
        artifacts.read(digest)
    with pytest.raises(UsageError, match="profile again"):
        artifacts.read("0" * 64)
