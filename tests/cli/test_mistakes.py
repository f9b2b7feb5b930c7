"""The message about a mistake is one line that names it and what is allowed; it has an exit code."""

import os
import sqlite3

import pytest

SMALL = ["--T", "16", "--impl", "linear/chunk"]
WIDE = ["--T", "1..1M", "--B", ",".join(map(str, range(1, 25)))]
DTYPES = "float64, float32, float16, bfloat16"
MAPS = "elu1, relu, identity"
TIMERS = "cuda_events_cold, cuda_graph_hot, cuda_graph_cold, cupti"
MISTAKES = {
    "grid": (["run", "--grid", "long-sec"], 2, "did you mean long-seq"),
    "implementation": (["run", "--impl", "linear/chunks"], 2, "did you mean linear/chunk"),
    "operator": (["run", "--op", "linea"], 2, "did you mean linear"),
    "dtype": (["run", "--dtype", "float8"], 2, f"'float8' is not one of {DTYPES}"),
    "mode": (["run", "--mode", "backward"], 2, "'backward' is not one of fwd, fwd_bwd, prefill, decode"),
    "negative": (["run", "--T", "-5"], 2, "--T: '-5' is not a positive count"),
    "zero": (["run", "--B", "0"], 2, "--B: '0' is not a positive count"),
    "range": (["run", "--T", "8k..1k"], 2, "runs backwards; write 1k..8k"),
    "device": (["run", "--device", "tpu"], 2, "'tpu' is not one of cpu, cuda"),
    "timer": (["run", "--timer", "wall", "--device", "cpu"], 2, "'wall' is not one of those on cpu: cpu"),
    "timer-device": (["run", "--timer", "cpu", "--device", "cuda"], 2, f"those on cuda: {TIMERS}"),
    "timer-resume": (["run", "--resume", "latest", "--timer", "cpu"], 2, "leave out --timer"),
    "no-gpu": (["run", "--device", "cuda"], 4, "no CUDA device is visible here"),
    "option": (["run", "--option", "feature_mp=relu"], 2, "did you mean feature_map"),
    "option-value": (["run", "--option", "feature_map=gelu"], 2, f"linear takes feature_map = {MAPS}"),
    "option-form": (["run", "--option", "relu"], 2, "write NAME=VALUE"),
    "tokens": (["run", "--tokens", "1000", "--T", "512"], 2, "tokens = 1000 is not a multiple of T = 512"),
    "timeout": (["run", "--timeout", "soon"], 2, "--timeout: 'soon' is not a duration"),
    "memory": (["run", "--max-memory", "lots"], 2, "--max-memory: 'lots' is not a size"),
    "plugin": (["run", "--plugin", "nowhere.py"], 2, "there is no such file"),
    "many": (["run", *WIDE], 2, "add --yes, or narrow the grid"),
    "baseline": (["run", "--impl", "linear/chunk", "--baseline", "softmax/flash"], 2, "unknown --baseline"),
    "grid-file": (["run", "--grid", "nowhere.toml"], 2, "there is no such file"),
    "wrong-key": (["run", "--grid", "wrong.toml"], 2, "axes.Tt is not a key of a grid; allowed: B, tokens"),
    "command": (["rnu"], 2, "did you mean run"),
    "flag": (["run", "--gird", "quick"], 2, "unknown option '--gird'; did you mean --grid"),
    "no-db": (["list", "runs"], 5, "there is no database results/linbench.db"),
    "corrupt": (["show", "--db", "corrupt.db"], 5, "not a SQLite file"),
    "foreign": (["run", "--db", "foreign.db", *SMALL], 5, "holds other tables"),
    "db-folder": (["run", "--db", ".", *SMALL], 5, "is a folder"),
    "db-url": (["list", "runs", "--db", "nosuch://x"], 5, "expected a path, or a URL"),
    "db-in-file": (["run", "--db", "corrupt.db/x.db", *SMALL], 5, "cannot be created"),
    "report-folder": (["run", *SMALL, "--report", "."], 2, "is a folder"),
    "no-name": (["run", "--impl", ","], 2, "--impl: no name is given"),
    "huge": (["run", "--T", "9" * 30], 2, "is not a positive count"),
    "two-ways": (["run", "--D", "64", "--K", "32"], 2, "D sets K and V"),
    "batch-two-ways": (["run", "--B", "2", "--tokens", "1k"], 2, "B and tokens both set the batch"),
    "percent": (["run", "--precision", "1"], 2, "--precision: '1' is not a percentage"),
    "fifo": (["list", "runs", "--db", "fifo"], 5, "is not a regular file"),
    "resume-nowhere": (["run", "--resume", "latest", "--db", "nowhere.db"], 5, "there is no database"),
    "export-form": (["export", "--to", "xlsx"], 2, "--to: 'xlsx' is not one of csv, jsonl, parquet"),
    "no-form": (["export"], 2, "missing option '--to'; see `linbench export --help`"),
    "processes": (["run", "--processes", "x"], 2, "--processes: 'x' is not a valid integer range"),
    "no-value": (["run", "--T"], 2, "option '--T' requires an argument"),
    "nested": (["list", "rnus"], 2, "unknown command of linbench list: 'rnus'; did you mean runs?"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_with_its_exit_code(linbench, name):
    arguments, code, message = MISTAKES[name]
    (linbench.folder / "corrupt.db").write_bytes(b"this is no database" * 99)
    sqlite3.connect(linbench.folder / "foreign.db").execute("CREATE TABLE mine (x)").connection.close()
    os.mkfifo(linbench.folder / "fifo")
    (linbench.folder / "wrong.toml").write_text("[axes]\nTt = 16\n")
    out, err = linbench(*arguments, code=code)
    assert message in err
    assert "Traceback" not in out + err
    assert out == ""
    assert err.startswith("linbench: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["flag", "no-gpu", "no-db"])
def test_a_process_exits_with_the_exit_code(linbench, name):
    arguments, code, message = MISTAKES[name]
    out, err = linbench.process(*arguments, code=code)
    assert message in err
    assert out == ""


def test_an_unsupported_k_is_the_reason_of_the_row(linbench):
    out, _ = linbench(
        "run", "--impl", "softmax/flash", "--T", "16", "--K", "16", "--V", "32", "--once", "--no-report",
        "--device", "cpu",
    )  # fmt: skip
    assert "unsupported" in out
    assert "supports K = V, not K = 16 and V = 32" in out


def test_a_broken_plugin_is_reported_with_its_traceback_and_does_not_stop_the_run(linbench):
    (linbench.folder / "broken.py").write_text("import nowhere_at_all\n")
    (linbench.folder / "orphan.py").write_text(
        "from linbench import implementation\n\n"
        "@implementation('linera', 'mine')\ndef mine(q, k, v):\n    return v\n"
    )
    arguments = ["--impl", "linear/chunk", "--T", "16", "--once", "--no-report", "--device", "cpu"]
    out, err = linbench("run", *arguments, "--plugin", "broken.py", "--plugin", "orphan.py")
    assert "1 ok" in out
    assert "broken.py is broken and left out: ModuleNotFoundError" in err
    assert "import nowhere_at_all" in err
    assert "linera/mine is left out: no operator named 'linera'" in err


def test_a_plugin_of_a_few_lines_is_measured(linbench):
    (linbench.folder / "mine.py").write_text(
        "import torch.nn.functional as F\n\n"
        "from linbench import implementation\n\n\n"
        '@implementation("linear", "mine")\n'
        "def mine(q, k, v):\n"
        "    q, k = (F.elu(x.transpose(1, 2)) + 1 for x in (q, k))\n"
        "    scores = (q @ k.transpose(-1, -2)).tril()\n"
        "    o = scores @ v.transpose(1, 2) / (scores.sum(-1, keepdim=True) + 1e-6)\n"
        "    return o.transpose(1, 2)\n"
    )
    arguments = ["--T", "16", "--mode", "fwd,fwd_bwd", "--min-time", "20ms", "--no-report", "--device", "cpu"]
    out, _ = linbench("run", "--plugin", "mine.py", "--impl", "linear/mine", *arguments)
    assert "2 ok" in out


def test_escape_codes_in_a_name_are_not_printed(linbench):
    (linbench.folder / "hostile.py").write_text(
        "from linbench import implementation\n\n"
        "@implementation('linear', '\\x1b[31mred\\x07')\n"
        "def red(q, k, v):\n    raise ValueError('\\x1b]0;title\\x07')\n"
    )
    out, err = linbench(
        "run", "--plugin", "hostile.py", "--T", "16", "--once", "--no-report", "--op", "linear"
    )
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_a_broken_plugin_is_reported_when_its_implementation_is_requested(linbench):
    (linbench.folder / "mine.py").write_text("this is no Python\n")
    _, err = linbench("run", "--plugin", "mine.py", "--impl", "linear/mine", code=2)
    assert "mine.py is broken and left out: SyntaxError" in err
    assert "unknown implementation 'linear/mine'" in err


def test_an_invalid_value_is_reported_with_its_variable_or_key(linbench):
    _, err = linbench("run", *SMALL, code=2, LINBENCH_TIMEOUT="soon")
    assert err == "linbench: LINBENCH_TIMEOUT: 'soon' is not a duration; write one like 90s, 10m or 2h\n"
    (linbench.folder / "pyproject.toml").write_text('[tool.linbench]\nmax_memory = "lots"\n')
    _, err = linbench("run", *SMALL, code=2)
    assert err == "linbench: [tool.linbench] max_memory: 'lots' is not a size; write one like 800M or 12GiB\n"
