"""The output of ncu is parsed as untrusted input; ncu here is a script that writes the same format."""

import gzip
import json
import sys
from dataclasses import replace

import pytest
from timeouts import timeout_s

from linbench.cli import profile as command_line
from linbench.core.case import Case
from linbench.core.errors import EnvironmentRefused
from linbench.core.measurement import Status
from linbench.core.profile import COUNTERS
from linbench.execution.schedule import Job
from linbench.profiling import counters
from linbench.profiling.artifact import Artifacts
from linbench.profiling.counters import METRICS, InvalidOutput, breakdown, command, read_launches
from linbench.profiling.diagnosis import diagnose
from linbench.profiling.session import profile
from linbench.store.profiles import Profiles

PHASES = {"linear/x fwd": "fwd", "linear/x bwd": "bwd"}
NAMES = [
    *("ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream", "Block Size"),
    *("Grid Size", "Device", "CC"),
    "Id:Domain:Start/Stop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg",
    "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg",
    *("dram__bytes.sum", *METRICS.values(), "gpu__time_duration.sum"),
]
UNITS = [*[""] * 13, "byte", "%", "%", "%", "%", "register/thread", "ns"]


def launch(kernel, range_name, *values):
    nvtx = f"1:<default domain>:{range_name}:none:none:none:none:none:none"
    head = ["0", "1234", "python3", "127.0.0.1", kernel, "1", "7", "(128, 1, 1)", "(64, 1, 1)", "0", "9.0"]
    return [*head, nvtx, "", *values]


LAUNCHES = [
    launch("scan(float *, int)", "linear/x fwd", "2,000,000", "80.5", "30", "12", "50", "64", "1,000"),
    launch("scan(float *, int)", "linear/x fwd", "1000", "40.5", "10", "4", "25", "72", "3,000"),
    launch('void "gemm"<(int)4>', "linear/x bwd", "1e6", "10", "20", "n/a", "30", "255", "2500.5"),
    launch("warm", "linear/y fwd", "1", "1", "1", "1", "1", "1", "1"),
]


def ncu_log(*launches, names=NAMES, units=UNITS):
    """Return the log file that ncu writes."""
    rows = [
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (names, units, *launches)
    ]
    lines = ['==PROF== Profiling "scan" - 0: 0%....50%....100% - 3 passes', *rows]
    return "==PROF== Connected to process 1234\n" + "\n".join(lines) + "\n==PROF== Disconnected\n"


def with_unit(metric, unit):
    return [unit if name == metric else before for name, before in zip(NAMES, UNITS, strict=True)]


def test_a_launch_has_si_units_and_the_phase_of_its_range():
    first, _, last = read_launches(ncu_log(*LAUNCHES), PHASES)
    assert (first.phase, first.kernel) == ("fwd", "scan(float *, int)")
    assert first.time_s == pytest.approx(1e-6)
    assert first.bytes == 2e6
    assert first.counters == pytest.approx(
        {"dram": 0.805, "sm": 0.3, "tensor": 0.12, "occupancy": 0.5, "registers": 64}
    )
    assert (last.phase, last.kernel) == ("bwd", 'void "gemm"<(int)4>')
    assert last.time_s == pytest.approx(2.5005e-6)
    assert "tensor" not in last.counters
    assert tuple(METRICS) == COUNTERS


@pytest.mark.parametrize(
    ("metric", "unit", "value"),
    [
        ("gpu__time_duration.sum", "nsecond", 1e-6),
        ("gpu__time_duration.sum", "us", 1e-3),
        ("gpu__time_duration.sum", "msecond", 1.0),
        ("dram__bytes.sum", "Kbyte", 2e9),
        ("dram__bytes.sum", "Mbyte", 2e12),
    ],
)
def test_every_unit_of_ncu_is_converted(metric, unit, value):
    (converted,) = read_launches(ncu_log(LAUNCHES[0], units=with_unit(metric, unit)), PHASES)
    assert (converted.bytes if metric.startswith("dram") else converted.time_s) == pytest.approx(value)


def test_launches_become_one_line_per_kernel():
    total = breakdown(list(read_launches(ncu_log(*LAUNCHES), PHASES)))
    scan, gemm = total.lines
    assert (scan.phase, scan.calls, scan.bytes) == ("fwd", 2, 2_001_000)
    assert scan.self_s == pytest.approx(4e-6)
    assert scan.counters["dram"] == pytest.approx((0.805 * 1 + 0.405 * 3) / 4)
    assert scan.counters["registers"] == 72
    assert "tensor" not in gemm.counters
    assert total.wall_s == pytest.approx(6.5005e-6)
    assert (total.calls, total.plain_s, total.threads) == (1, None, None)


RAGGED = launch("scan", "linear/x fwd", "1")
WORD = launch("scan", "linear/x fwd", "1.000,5", "1", "1", "1", "1", "1", "1")
TIMELESS = launch("scan", "linear/x fwd", "1", "1", "1", "1", "1", "1", "n/a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it wrote no message"),
        ("==PROF== Connected\n==WARNING== No kernels were profiled.\n", "No kernels were profiled"),
        (ncu_log(names=NAMES[:-1]), "it recorded no kernel"),
        (ncu_log(RAGGED), "launch 0 has 14 columns, expected 20"),
        (ncu_log(WORD), "dram__bytes.sum is '1.000,5', which is not a number"),
        (ncu_log(TIMELESS), "a launch of 'scan' has no gpu__time_duration.sum"),
        (
            ncu_log(LAUNCHES[0], units=with_unit("dram__bytes.sum", "sector")),
            "is in 'sector', which is not one of",
        ),
        (ncu_log(launch("x" * 200_000, "linear/x fwd", *"1111111")), "its CSV cannot be read"),
    ],
)
def test_invalid_output_is_rejected(text, message):
    with pytest.raises(InvalidOutput, match=message):
        list(read_launches(text, PHASES))


def test_output_above_the_limits_is_rejected(monkeypatch, tmp_path):
    monkeypatch.setattr(counters, "MOST_LAUNCHES", 2)
    assert len(list(read_launches(ncu_log(*LAUNCHES[:2]), PHASES))) == 2
    with pytest.raises(InvalidOutput, match="more than 2 launches; use a shorter T"):
        list(read_launches(ncu_log(*LAUNCHES[:3]), PHASES))
    (tmp_path / "ncu.csv").write_text("x" * 11)
    monkeypatch.setattr(counters, "MOST_BYTES", 10)
    with pytest.raises(InvalidOutput, match="its CSV is larger than"):
        counters._text(tmp_path / "ncu.csv")


def test_only_launches_in_the_ranges_of_the_call_are_counted(tmp_path):
    arguments = command("/opt/ncu", tmp_path / "x.csv", ["linear/x fwd", "a[1]*,+@b bwd"])
    included = [arguments[n + 1] for n, argument in enumerate(arguments) if argument == "--nvtx-include"]
    assert included == [r"linear\/x fwd", r"a\[1\]\*\,\+\@b bwd"]
    (metrics,) = (arguments[n + 1] for n, argument in enumerate(arguments) if argument == "--metrics")
    assert set(metrics.split(",")) == {*METRICS.values(), "dram__bytes.sum", "gpu__time_duration.sum"}


NCU = """#!{python}
import subprocess, sys
arguments = sys.argv[1:]
code = {run} and subprocess.call(arguments[arguments.index({python!r}):])
with open(arguments[arguments.index("--log-file") + 1], "w") as file:
    file.write({text!r})
sys.exit(code or {code})
"""
DENIED = (
    "==PROF== Connected to process 1\n==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to "
    "access NVIDIA GPU Performance Counters on the target device 0.\n"
)


@pytest.fixture
def install_ncu(tmp_path, monkeypatch):
    """Return a function that puts an ncu on PATH that runs its command, or not, and then writes a text."""

    def install(text, *, run=True, code=0):
        program = tmp_path / "ncu"
        program.write_text(NCU.format(python=sys.executable, text=text, run=run, code=code), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


JOB = Job("linear/chunk", "linear", Case(1, 64, 2, 16, 16))


def test_a_call_runs_under_ncu_and_its_output_is_stored(loaded, install_ncu, tmp_path):
    text = ncu_log(launch("scan", "linear/chunk fwd", "3000", "50", "30", "12", "50", "64", "2,000"))
    install_ncu(text)
    artifacts = Artifacts(str(tmp_path / "x.db"))
    profiled = profile(loaded, JOB, "ncu", timeout_s=timeout_s(120), artifacts=artifacts)
    assert (profiled.status, profiled.reason, profiled.tool) == (Status.OK, None, "ncu")
    (line,) = profiled.breakdown.lines
    assert (line.phase, line.name, line.bytes) == ("fwd", "scan", 3000)
    (record,) = json.loads(gzip.decompress(artifacts.read(profiled.artifacts["ncu"])))
    assert (record["kernel"], record["time_s"]) == ("scan", pytest.approx(2e-6))
    stored = Profiles(str(tmp_path / "x.db"), write=True).add(profiled)
    assert Profiles(str(tmp_path / "x.db")).find("1") == replace(stored, id=1)
    header, row, *rest = command_line._table(stored.breakdown, None)
    assert header.split()[-6:] == ["GB/S", "DRAM", "SM", "TENSOR", "OCCUPANCY", "REGISTERS"]
    assert row.split()[-6:] == ["1.50", "50%", "30%", "12%", "50%", "64"]
    assert rest == []
    assert diagnose(stored.breakdown, "ncu", "cuda") == [
        "The kernels take 2.00 µs per call when ncu runs them one at a time with cold caches; "
        "do not compare this with a measured time."
    ]


def test_without_permission_the_error_names_the_remedies(loaded, install_ncu, tmp_path):
    install_ncu(DENIED, run=False, code=1)
    with pytest.raises(EnvironmentRefused, match="ERR_NVGPUCTRPERM") as refused:
        profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=Artifacts(str(tmp_path / "x.db")))
    for remedy in ("sudo -E env", "NVreg_RestrictProfilingToAdminUsers=0", "SYS_ADMIN", "--tool torch"):
        assert remedy in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ncu_log(LAUNCHES[0]), "ncu: it recorded no kernel of the call"),
        ("==WARNING== No kernels were profiled.", "No kernels were profiled"),
    ],
)
def test_a_failure_of_ncu_is_a_profile_with_a_reason(loaded, install_ncu, tmp_path, text, reason):
    install_ncu(text)
    artifacts = Artifacts(str(tmp_path / "x.db"))
    profiled = profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=artifacts)
    assert (profiled.status, profiled.breakdown, profiled.artifacts) == (Status.ERROR, None, {})
    assert reason in profiled.reason


def test_an_ncu_that_starts_no_process_is_an_error(loaded, install_ncu, tmp_path):
    install_ncu("==ERROR== Failed to launch.", run=False, code=3)
    with pytest.raises(EnvironmentRefused, match="cannot be started: exited with code 3"):
        profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=Artifacts(str(tmp_path / "x.db")))
