"""Every command as a user types it, on what a real run stored."""

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

LIGHT = [
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


def test_a_run_has_a_row_for_every_implementation_and_every_ok_row_is_within_tolerance(measured):
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


def test_a_json_line_has_what_it_should(measured):
    row = lines_of(measured("show", measured.run, "--format", "json")[0])[0]
    assert {
        "run", "operator", "implementation", "case", "status", "reason", "median_s", "ci_low_s", "ci_high_s",
        "processes", "peak_bytes", "extra_bytes", "errors",
    } <= set(row)  # fmt: skip
    assert {"B", "T", "H", "K", "V", "dtype", "mode", "device"} <= set(row["case"])
    assert {"rel_l2", "max_abs", "max_rel", "cosine", "nonfinite"} <= set(row["errors"]["o"])


def test_plain_output_is_a_line_a_row_without_escape_codes(measured, linbench):
    out, err = measured.output
    rows = [line for line in out.splitlines() if line.startswith(("ok ", "unsupported "))]
    assert len(rows) == 4 * 20  # modes, implementations, one of them a stranger's
    for text in (out, err):
        assert "\x1b" not in text
    words = ["--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu"]
    out, err = linbench("run", *words, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert "\x1b" not in out + err
    assert "1 ok" in out


def test_show_says_the_share_of_the_speed_of_light_where_ceilings_were_measured(stored, measured):
    shown = [line for line in stored("show")[0].splitlines() if line.startswith("ok ")]
    assert len(shown) == 18
    for line in shown:
        assert re.search(r"% \[[\d.e-]+, [\d.e-]+\] of the speed of light \((compute|memory)\)", line), line
    assert "speed of light" not in measured("show", measured.run)[0]


def test_json_format_keeps_stdout_for_rows(linbench):
    words = ["--impl", "linear/chunk", "--T", "16", "--once", "--device", "cpu", "--format", "json"]
    out, err = linbench("run", *words)
    (row,) = lines_of(out)
    assert row["status"] == "ok"
    assert row["median_s"] is None  # --once times nothing
    assert "report: reports/" in err


def test_a_sweep_over_features_shows_the_error_of_the_approximation_beside_the_numerical_one(linbench):
    shape = ["--T", "64", "--H", "2", "--D", "8", "--mode", "fwd", "--device", "cpu"]
    names = ["--impl", "performer/chunk,softmax/naive", "--option", "features=16,64,256"]
    linbench("run", "--grid", "family-features", *names, *shape, "--once", "--no-report")
    rows = [line for line in linbench("show")[0].splitlines() if line.startswith("ok ")]
    assert len([row for row in rows if "  approximation " in row and "  error " in row]) == 3
    assert len(rows) == 4  # features is no option of softmax, which approximates nothing
    stored = lines_of(linbench("show", "--format", "json")[0])
    found = {row["case"]["options"].get("features", 64): row for row in stored if row["approximation"]}
    assert set(found) == {16, 64, 256}
    assert len({row["approximation"]["o"] for row in found.values()}) == 3
    for row in found.values():
        assert row["approximation"]["o"] > 1000 * row["errors"]["o"]["rel_l2"] > 0


def test_on_a_terminal_a_live_bar_is_drawn(linbench):
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


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_light_commands_import_no_torch(measured, words):
    code = (
        "import sys\n"
        "from linbench.cli import _run\n"
        f"code = _run({list(words)!r})\n"
        "heavy = {'torch', 'triton', 'cuda'} & set(sys.modules)\n"
        "assert code == 0 and not heavy, (code, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=measured.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_parent_of_a_run_imports_no_torch_where_plugins_are_polite(measured):
    code = (
        "import sys\n"
        "from importlib.metadata import entry_points\n"
        "import linbench.core.registry as registry\n"
        "polite = [entry for entry in entry_points(group='linbench.plugins') if entry.name == 'builtin']\n"
        "registry.entry_points = lambda group: polite\n"
        "from linbench.cli import _run\n"
        "words = 'run --impl linear/chunk --T 16 --once --no-report --device cpu'.split()\n"
        "assert _run(words) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=measured.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def cpu_seconds(words, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "linbench", *words], cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope="module")
def filled(command_line):
    """The command line in a folder with a run of 189 rows, made up."""
    command = command_line("filled")
    (command.folder / "results").mkdir()
    store = Store(str(command.folder / "results/linbench.db"), write=True)
    run = store.begin(ENVIRONMENT, PLAN).id
    store.append(run, realistic().measurements)
    store.finish(run)
    return command


@pytest.mark.serial  # it bounds processor time
@pytest.mark.parametrize(
    ("words", "bound_s"),
    [(["--help"], 0.2), (["list", "grids"], 1.0), (["list", "runs"], 1.0), (["show"], 1.0)],
)
def test_start_up_in_cpu_time(filled, words, bound_s):
    assert min(cpu_seconds(words, filled.folder) for _ in range(5)) < bound_s * slowness()


def test_list_names_what_there_is(measured):
    operators = lines_of(measured("list", "operators", "--format", "json")[0])
    assert {"linear", "softmax", "acme_delta"} <= {found["operator"] for found in operators}
    names = {
        found["implementation"]
        for found in lines_of(measured("list", "implementations", "--format", "json")[0])
    }
    assert {"linear/chunk", "linear/acme", "acme_delta/recurrent"} <= names
    out, _ = measured("list", "grids")
    assert "long-seq" in out
    runs = lines_of(measured("list", "runs", "--format", "json")[0])
    assert {run["device"] for run in runs} == {"cpu"}


def test_doctor_says_what_can_run_here_and_why_not(measured):
    out, _ = measured("doctor")
    assert "linear/chunk" in out
    assert "no CUDA device is visible here" in out
    found = json.loads(measured("doctor", "--format", "json")[0])
    by_name = {verdict["implementation"]: verdict for verdict in found["implementations"]}
    assert by_name["linear/chunk"]["cpu"] is None
    assert "needs a CUDA device" in by_name["linear/triton"]["cpu"]
    assert found["environment"]["libraries"]["torch"]


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


def test_the_report_is_written_where_it_says(measured):
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


def test_python_callers_get_what_the_command_line_gets(measured, tmp_path, monkeypatch):
    import linbench

    monkeypatch.chdir(tmp_path)
    settings = Settings(once=True)
    run = linbench.run(T=16, impl=["linear/chunk"], device="cpu", db="x.db", mode=["fwd"], settings=settings)
    assert [row.status for row in run.measurements] == ["ok"]
    table = linbench.load("x.db")
    assert list(table["implementation"]) == ["linear/chunk"]
    assert len(linbench.load(measured.folder / "results/linbench.db", run="latest")) > 0


def test_settings_come_from_flag_then_variable_then_table(linbench):
    (linbench.folder / "pyproject.toml").write_text('[tool.linbench]\ndb = "from-table.db"\n')
    words = ["run", "--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu"]
    linbench(*words)
    linbench(*words, LINBENCH_DB="from-variable.db")
    linbench(*words, "--db", "from-flag.db", LINBENCH_DB="from-variable.db")
    assert {path.name for path in linbench.folder.glob("*.db")} == {
        "from-table.db", "from-variable.db", "from-flag.db",
    }  # fmt: skip
    (linbench.folder / "pyproject.toml").write_text('[tool.linbench]\ndbb = "x"\n')
    _, err = linbench("list", "grids", code=2)
    assert "unknown key of [tool.linbench]" in err
    assert "did you mean db" in err


def test_a_pipe_that_closes_early_is_no_error(measured):
    process = measured.start("show", "--format", "json")
    process.stdout.close()
    assert process.wait(timeout_s(20)) in (0, 1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
