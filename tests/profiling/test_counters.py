"""What ncu writes is read as a stranger's; ncu is a process, here one that writes what the real one does."""

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
from linbench.profiling.counters import METRICS, CannotRead, breakdown, command, read
from linbench.profiling.session import profile
from linbench.profiling.words import diagnosis
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
    first = ["0", "1234", "python3", "127.0.0.1", kernel, "1", "7", "(128, 1, 1)", "(64, 1, 1)", "0", "9.0"]
    return [*first, nvtx, "", *values]


LAUNCHES = [
    launch("scan(float *, int)", "linear/x fwd", "2,000,000", "80.5", "30", "12", "50", "64", "1,000"),
    launch("scan(float *, int)", "linear/x fwd", "1000", "40.5", "10", "4", "25", "72", "3,000"),
    launch('void "gemm"<(int)4>', "linear/x bwd", "1e6", "10", "20", "n/a", "30", "255", "2500.5"),
    launch("warm", "linear/y fwd", "1", "1", "1", "1", "1", "1", "1"),
]


def written(*launches, names=NAMES, units=UNITS):
    """What ncu writes to its log file."""
    rows = [
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (names, units, *launches)
    ]
    said = ['==PROF== Profiling "scan" - 0: 0%....50%....100% - 3 passes', *rows]
    return "==PROF== Connected to process 1234\n" + "\n".join(said) + "\n==PROF== Disconnected\n"


def with_unit(metric, unit):
    return [unit if name == metric else before for name, before in zip(NAMES, UNITS, strict=True)]


def test_a_launch_is_read_in_si_units_and_belongs_to_the_phase_of_its_range():
    first, _, last = read(written(*LAUNCHES), PHASES)
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
def test_whatever_unit_ncu_chose(metric, unit, value):
    (found,) = read(written(LAUNCHES[0], units=with_unit(metric, unit)), PHASES)
    assert (found.bytes if metric.startswith("dram") else found.time_s) == pytest.approx(value)


def test_launches_become_lines_a_kernel():
    found = breakdown(list(read(written(*LAUNCHES), PHASES)))
    scan, gemm = found.lines
    assert (scan.phase, scan.calls, scan.bytes) == ("fwd", 2, 2_001_000)
    assert scan.self_s == pytest.approx(4e-6)
    assert scan.counters["dram"] == pytest.approx((0.805 * 1 + 0.405 * 3) / 4)
    assert scan.counters["registers"] == 72
    assert "tensor" not in gemm.counters
    assert found.wall_s == pytest.approx(6.5005e-6)
    assert (found.calls, found.plain_s, found.threads) == (1, None, None)


RAGGED = launch("scan", "linear/x fwd", "1")
WORD = launch("scan", "linear/x fwd", "1.000,5", "1", "1", "1", "1", "1", "1")
TIMELESS = launch("scan", "linear/x fwd", "1", "1", "1", "1", "1", "1", "n/a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it said nothing"),
        ("==PROF== Connected\n==WARNING== No kernels were profiled.\n", "No kernels were profiled"),
        (written(names=NAMES[:-1]), "it read no kernel"),
        (written(RAGGED), "launch 0 has 14 columns where 20 were due"),
        (written(WORD), "dram__bytes.sum is '1.000,5', which is no number"),
        (written(TIMELESS), "a launch of 'scan' has no gpu__time_duration.sum"),
        (written(LAUNCHES[0], units=with_unit("dram__bytes.sum", "sector")), "is in 'sector', which is none"),
        (written(launch("x" * 200_000, "linear/x fwd", *"1111111")), "its CSV cannot be read"),
    ],
)
def test_what_is_not_of_its_form_is_refused(text, said):
    with pytest.raises(CannotRead, match=said):
        list(read(text, PHASES))


def test_there_is_a_limit_to_what_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(counters, "MOST_LAUNCHES", 2)
    assert len(list(read(written(*LAUNCHES[:2]), PHASES))) == 2
    with pytest.raises(CannotRead, match="more than 2 launches; take a shorter T"):
        list(read(written(*LAUNCHES[:3]), PHASES))
    (tmp_path / "ncu.csv").write_text("x" * 11)
    monkeypatch.setattr(counters, "MOST_BYTES", 10)
    with pytest.raises(CannotRead, match="its CSV is larger than"):
        counters._text(tmp_path / "ncu.csv")


def test_only_launches_in_the_ranges_of_the_call_are_counted(tmp_path):
    words = command("/opt/ncu", tmp_path / "x.csv", ["linear/x fwd", "a[1]*,+@b bwd"])
    included = [words[n + 1] for n, word in enumerate(words) if word == "--nvtx-include"]
    assert included == [r"linear\/x fwd", r"a\[1\]\*\,\+\@b bwd"]
    (metrics,) = (words[n + 1] for n, word in enumerate(words) if word == "--metrics")
    assert set(metrics.split(",")) == {*METRICS.values(), "dram__bytes.sum", "gpu__time_duration.sum"}


NCU = """#!{python}
import subprocess, sys
words = sys.argv[1:]
code = {run} and subprocess.call(words[words.index({python!r}):])
with open(words[words.index("--log-file") + 1], "w") as file:
    file.write({text!r})
sys.exit(code or {code})
"""
DENIED = (
    "==PROF== Connected to process 1\n==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to "
    "access NVIDIA GPU Performance Counters on the target device 0.\n"
)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that puts on PATH an ncu that runs its command, or not, and then writes a text."""

    def install(text, *, run=True, code=0):
        program = tmp_path / "ncu"
        program.write_text(NCU.format(python=sys.executable, text=text, run=run, code=code), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


JOB = Job("linear/chunk", "linear", Case(1, 64, 2, 16, 16))


def test_a_call_is_made_under_ncu_and_what_it_wrote_is_kept(loaded, installed, tmp_path):
    text = written(launch("scan", "linear/chunk fwd", "3000", "50", "30", "12", "50", "64", "2,000"))
    installed(text)
    artifacts = Artifacts(str(tmp_path / "x.db"))
    found = profile(loaded, JOB, "ncu", timeout_s=timeout_s(120), artifacts=artifacts)
    assert (found.status, found.reason, found.tool) == (Status.OK, None, "ncu")
    (line,) = found.breakdown.lines
    assert (line.phase, line.name, line.bytes) == ("fwd", "scan", 3000)
    (kept,) = json.loads(gzip.decompress(artifacts.read(found.artifacts["ncu"])))
    assert (kept["kernel"], kept["time_s"]) == ("scan", pytest.approx(2e-6))
    stored = Profiles(str(tmp_path / "x.db"), write=True).add(found)
    assert Profiles(str(tmp_path / "x.db")).find("1") == replace(stored, id=1)
    header, row, *said = command_line._table(stored.breakdown, None)
    assert header.split()[-6:] == ["GB/S", "DRAM", "SM", "TENSOR", "OCCUPANCY", "REGISTERS"]
    assert row.split()[-6:] == ["1.50", "50%", "30%", "12%", "50%", "64"]
    assert said == []
    assert diagnosis(stored.breakdown, "ncu", "cuda") == [
        "Its kernels take 2.00 µs a call, one at a time and with cold caches: that is no time of a row."
    ]


def test_no_permission_says_what_helps(loaded, installed, tmp_path):
    installed(DENIED, run=False, code=1)
    with pytest.raises(EnvironmentRefused, match="ERR_NVGPUCTRPERM") as refused:
        profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=Artifacts(str(tmp_path / "x.db")))
    for helps in ("sudo -E env", "NVreg_RestrictProfilingToAdminUsers=0", "SYS_ADMIN", "--tool torch"):
        assert helps in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (written(LAUNCHES[0]), "ncu: it read no kernel that the call launched"),
        ("==WARNING== No kernels were profiled.", "No kernels were profiled"),
    ],
)
def test_what_came_of_it_otherwise_is_a_profile_too(loaded, installed, tmp_path, text, reason):
    installed(text)
    artifacts = Artifacts(str(tmp_path / "x.db"))
    found = profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=artifacts)
    assert (found.status, found.breakdown, found.artifacts) == (Status.ERROR, None, {})
    assert reason in found.reason


def test_an_ncu_that_starts_nothing_is_refused_with_what_it_said(loaded, installed, tmp_path):
    installed("==ERROR== Failed to launch.", run=False, code=3)
    with pytest.raises(EnvironmentRefused, match="cannot be started: exited with code 3"):
        profile(loaded, JOB, "ncu", timeout_s=timeout_s(60), artifacts=Artifacts(str(tmp_path / "x.db")))
