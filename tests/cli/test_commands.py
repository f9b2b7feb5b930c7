"""Every command as a user types it, on the rows of a real run."""

import csv
import json
import os
import pty
import re
import resource
import select
import subprocess
import sys

import pytest
from synthetic import ENVIRONMENT, PLAN, realistic
from timeouts import slowness, timeout_s

from linbench.core.plan import Settings
from linbench.store.store import Store

LIGHT_COMMANDS = [
    ("--help",),
    ("list", "grids"),
    ("list", "runs"),
    ("show",),
    ("list", "runs", "--format", "json"),
    ("report", "--help"),
    ("export", "--to", "csv"),
]


def lines_of(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_run_has_a_row_per_implementation_and_every_ok_row_is_within_tolerance(measured):
    rows = lines_of(measured("show", measured.run, "--format", "json")[0])
    assert {row["implementation"] for row in rows} >= {
        "linear/naive", "linear/chunk", "linear/recurrent", "linear/triton", "linear/cuda",
        "softmax/naive", "softmax/flash", "softmax/efficient", "softmax/cudnn", "softmax/math",
    }  # fmt: skip
    for row in rows:
        assert row["status"] in ("ok", "unsupported"), row
        if row["implementation"] in ("linear/triton", "linear/cuda", "softmax/efficient", "softmax/cudnn"):
            assert row["status"] == "unsupported"
            assert "needs a CUDA device" in row["reason"] or "has no fwd_bwd mode" in row["reason"]
        if row["status"] == "ok":
            assert row["errors"]
            assert all(error["rel_l2"] <= error["tolerance"] for error in row["errors"].values())
            assert row["extra_bytes"] > 0
            assert row["peak_bytes"] > row["extra_bytes"]
    ok = {(row["implementation"], row["case"]["mode"]) for row in rows if row["status"] == "ok"}
    assert {mode for name, mode in ok if name == "linear/chunk"} == {"fwd", "fwd_bwd", "prefill", "decode"}
    assert {mode for name, mode in ok if name == "softmax/flash"} == {"fwd", "fwd_bwd", "prefill", "decode"}


def test_a_json_line_has_the_documented_keys(measured):
    row = lines_of(measured("show", measured.run, "--format", "json")[0])[0]
    assert {
        "run", "operator", "implementation", "case", "status", "reason", "median_s", "ci_low_s", "ci_high_s",
        "processes", "peak_bytes", "extra_bytes", "errors",
    } <= set(row)  # fmt: skip
    assert {"B", "T", "H", "K", "V", "dtype", "mode", "device"} <= set(row["case"])
    assert {"rel_l2", "max_abs", "max_rel", "cosine", "nonfinite"} <= set(row["errors"]["o"])


def test_plain_output_is_one_line_per_row_without_escape_codes(measured, linbench):
    out, err = measured.output
    rows = [line for line in out.splitlines() if line.startswith(("ok ", "unsupported "))]
    assert len(rows) == 4 * 20  # modes, implementations (one of another package)
    for text in (out, err):
        assert "\x1b" not in text
    arguments = ["--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu"]
    out, err = linbench("run", *arguments, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert "\x1b" not in out + err
    assert "1 ok" in out


def test_show_prints_the_share_of_the_speed_of_light_if_ceilings_were_measured(stored, measured):
    lines = [line for line in stored("show")[0].splitlines() if line.startswith("ok ")]
    assert len(lines) == 18
    for line in lines:
        assert re.search(r"% \[[\d.e-]+, [\d.e-]+\] of the speed of light \((compute|memory)\)", line), line
    assert "speed of light" not in measured("show", measured.run)[0]


def test_json_format_prints_only_rows_to_stdout(linbench):
    arguments = ["--impl", "linear/chunk", "--T", "16", "--once", "--device", "cpu", "--format", "json"]
    out, err = linbench("run", *arguments)
    (row,) = lines_of(out)
    assert row["status"] == "ok"
    assert row["median_s"] is None  # --once times nothing
    assert "report: reports/" in err


def test_a_sweep_over_features_shows_both_the_approximation_error_and_the_numerical_error(linbench):
    shape = ["--T", "64", "--H", "2", "--D", "8", "--mode", "fwd", "--device", "cpu"]
    names = ["--impl", "performer/chunk,softmax/naive", "--option", "features=16,64,256"]
    linbench("run", "--grid", "family-features", *names, *shape, "--once", "--no-report")
    rows = [line for line in linbench("show")[0].splitlines() if line.startswith("ok ")]
    assert len([row for row in rows if "  approximation " in row and "  error " in row]) == 3
    assert len(rows) == 4  # softmax approximates nothing and has no option features
    json_rows = lines_of(linbench("show", "--format", "json")[0])
    by_features = {
        row["case"]["options"].get("features", 64): row for row in json_rows if row["approximation"]
    }
    assert set(by_features) == {16, 64, 256}
    assert len({row["approximation"]["o"] for row in by_features.values()}) == 3
    for row in by_features.values():
        assert row["approximation"]["o"] > 1000 * row["errors"]["o"]["rel_l2"] > 0


def test_a_terminal_shows_a_live_bar(linbench):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "linbench", "run", "--impl", "linear/chunk", "--T", "16,32", "--processes=2"],
        cwd=linbench.folder, env=linbench.environment | {"TERM": "xterm"}, stdout=follower, stderr=follower,
        stdin=follower,
    )  # fmt: skip
    os.close(follower)
    screen = b""
    while process.poll() is None or select.select([leader], [], [], 0)[0]:
        try:
            screen += os.read(leader, 4096)
        except OSError:
            break
    os.close(leader)
    assert process.wait() == 0, screen
    assert b"0/2" in screen
    assert b"time linear/chunk" in screen
    assert b"\x1b[" in screen


@pytest.mark.parametrize("arguments", LIGHT_COMMANDS, ids=" ".join)
def test_light_commands_import_no_torch(measured, arguments):
    code = (
        "import sys\n"
        "from linbench.cli import _run\n"
        f"code = _run({list(arguments)!r})\n"
        "heavy = {'torch', 'triton', 'cuda'} & set(sys.modules)\n"
        "assert code == 0 and not heavy, (code, heavy)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=measured.folder, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


def test_the_parent_process_of_a_run_imports_no_torch_unless_a_plugin_does(measured):
    code = (
        "import sys\n"
        "from importlib.metadata import entry_points\n"
        "import linbench.core.registry as registry\n"
        "builtin = [entry for entry in entry_points(group='linbench.plugins') if entry.name == 'builtin']\n"
        "registry.entry_points = lambda group: builtin\n"
        "from linbench.cli import _run\n"
        "arguments = 'run --impl linear/chunk --T 16 --once --no-report --device cpu'.split()\n"
        "assert _run(arguments) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=measured.folder, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


def cpu_seconds(arguments, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "linbench", *arguments]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope="module")
def large_run(command_line):
    """The command line in a folder with a synthetic run of 189 rows."""
    command = command_line("large_run")
    (command.folder / "results").mkdir()
    store = Store(str(command.folder / "results/linbench.db"), write=True)
    run = store.begin(ENVIRONMENT, PLAN).id
    store.append(run, realistic().measurements)
    store.finish(run)
    return command


@pytest.mark.serial  # it bounds processor time
@pytest.mark.parametrize(
    ("arguments", "bound_s"),
    [(["--help"], 0.2), (["list", "grids"], 1.0), (["list", "runs"], 1.0), (["show"], 1.0)],
)
def test_start_up_in_cpu_time(large_run, arguments, bound_s):
    assert min(cpu_seconds(arguments, large_run.folder) for _ in range(5)) < bound_s * slowness()


def test_list_prints_operators_implementations_grids_and_runs(measured):
    operators = lines_of(measured("list", "operators", "--format", "json")[0])
    assert {"linear", "softmax", "acme_delta"} <= {record["operator"] for record in operators}
    names = {
        record["implementation"]
        for record in lines_of(measured("list", "implementations", "--format", "json")[0])
    }
    assert {"linear/chunk", "linear/acme", "acme_delta/recurrent"} <= names
    out, _ = measured("list", "grids")
    assert "long-seq" in out
    runs = lines_of(measured("list", "runs", "--format", "json")[0])
    assert {run["device"] for run in runs} == {"cpu"}


def test_doctor_prints_which_implementations_can_run_or_the_reason(measured):
    out, _ = measured("doctor")
    assert "linear/chunk" in out
    assert "no CUDA device is visible here" in out
    record = json.loads(measured("doctor", "--format", "json")[0])
    by_name = {reasons["implementation"]: reasons for reasons in record["implementations"]}
    assert by_name["linear/chunk"]["cpu"] is None
    assert "needs a CUDA device" in by_name["linear/triton"]["cpu"]
    assert record["environment"]["libraries"]["torch"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_export_writes_every_row(measured, form):
    out, _ = measured("export", "--to", form, measured.run, "-o", f"rows.{form}", "--format", "json")
    rows = len(measured("show", measured.run, "--format", "json")[0].splitlines())
    assert json.loads(out)["rows"] == rows
    path = measured.folder / f"rows.{form}"
    if form == "csv":
        assert len(list(csv.DictReader(path.read_text().splitlines()))) == rows
    elif form == "jsonl":
        assert len(path.read_text().splitlines()) == 1 + rows  # a head, then the rows
    else:
        assert path.read_bytes()[:4] == b"PAR1"


def test_db_check_of_a_good_store(measured):
    out, _ = measured("db", "check", "--format", "json")
    assert json.loads(out)["problems"] == []


def test_the_report_is_written_to_the_printed_path(measured):
    out, _ = measured("report", measured.run, "-o", "page.html", "--baseline", "softmax/flash")
    assert out.strip() == "page.html"
    assert "linear/chunk" in (measured.folder / "page.html").read_text()
    assert list((measured.folder / "reports").glob("*.html"))


def test_dry_run_measures_nothing(linbench):
    out, _ = linbench("run", "--grid", "long-seq", "--dry-run", "--device", "cpu")
    assert "rough estimate" in out
    assert "softmax/naive" in out
    assert "unsupported: needs a CUDA device" in out
    assert not (linbench.folder / "results").exists()


def test_the_python_api_measures_and_loads_a_run(measured, tmp_path, monkeypatch):
    import linbench

    monkeypatch.chdir(tmp_path)
    settings = Settings(once=True)
    run = linbench.run(T=16, impl=["linear/chunk"], device="cpu", db="x.db", mode=["fwd"], settings=settings)
    assert [row.status for row in run.measurements] == ["ok"]
    table = linbench.load("x.db")
    assert list(table["implementation"]) == ["linear/chunk"]
    assert len(linbench.load(measured.folder / "results/linbench.db", run="latest")) > 0


def test_a_flag_overrides_a_variable_which_overrides_pyproject(linbench):
    (linbench.folder / "pyproject.toml").write_text('[tool.linbench]\ndb = "from-table.db"\n')
    arguments = ["run", "--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu"]
    linbench(*arguments)
    linbench(*arguments, LINBENCH_DB="from-variable.db")
    linbench(*arguments, "--db", "from-flag.db", LINBENCH_DB="from-variable.db")
    assert {path.name for path in linbench.folder.glob("*.db")} == {
        "from-table.db", "from-variable.db", "from-flag.db",
    }  # fmt: skip
    (linbench.folder / "pyproject.toml").write_text('[tool.linbench]\ndbb = "x"\n')
    _, err = linbench("list", "grids", code=2)
    assert "unknown key of [tool.linbench]" in err
    assert "did you mean db" in err


def test_a_closed_pipe_is_not_an_error(measured):
    process = measured.start("show", "--format", "json")
    process.stdout.close()
    assert process.wait(timeout_s(20)) in (0, 1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
