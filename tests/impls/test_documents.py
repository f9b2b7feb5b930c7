"""docs/adding-an-operator.md, followed to the letter."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "adding-an-operator.md").read_text(encoding="utf-8")


def written(folder):
    """Write every Python block to the file that its first line names, blocks of one file after each other."""
    files = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        name = re.match(r"# (\S+\.py)\n", block).group(1)
        files[name] = files.get(name, "") + block
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return set(files)


def test_an_operator_added_as_the_document_says_is_ok_in_every_row(linbench, tmp_path):
    assert written(tmp_path) == {"leaky.py", "test_leaky.py"}
    commands = re.findall(r"^\$ linbench (.*)$", TEXT, re.MULTILINE)
    assert len(commands) == 2
    for command, rows in zip(commands, (16, 2), strict=True):
        out, _ = linbench(*shlex.split(command), "--no-report")
        assert len(re.findall(r"^ok +leaky/recurrent", out, re.MULTILINE)) == rows, out
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_leaky.py"],
        cwd=tmp_path,
        env=linbench.environment,
        check=True,
        capture_output=True,
    )


def test_a_mistake_in_what_the_document_adds_is_wrong(linbench, tmp_path):
    written(tmp_path)
    plugin = tmp_path / "leaky.py"
    text = plugin.read_text(encoding="utf-8")
    plugin.write_text(
        text.replace("S = kept * S + (1 - kept)", "S = kept * S + (1.001 - kept)"), encoding="utf-8"
    )
    words = (
        "--op",
        "leaky",
        "--once",
        "--T",
        "65",
        "--D",
        "16",
        "--H",
        "2",
        "--device",
        "cpu",
        "--no-report",
    )
    out, _ = linbench("run", "--plugin", "leaky.py", *words)
    assert re.search(r"^wrong +leaky/recurrent", out, re.MULTILINE), out
