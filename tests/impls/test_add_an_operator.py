"""docs/guides/add-an-operator.md, followed to the letter."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guides" / "add-an-operator.md").read_text(encoding="utf-8")
MEMBER = {f"erase_write/{name}.py" for name in ("__init__", "operator", "forms")}


def written(folder, names):
    """Write the Python blocks of some files, of one file after each other; a block's first line names it."""
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        name = re.match(r"# (\S+\.py)\n", block).group(1)
        if name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(block)


def commands(word):
    """Return the arguments of the commands that have a word."""
    found = re.findall(r"^\$ linbench (.*)$", TEXT, re.MULTILINE)
    return [shlex.split(command) for command in found if word in command]


@pytest.fixture
def member(tmp_path):
    """A copy of our implementations with one new folder: the document's member of a family."""
    package = tmp_path / "impls" / "linbench_impls"
    shutil.copytree(ROOT / "impls" / "linbench_impls", package, ignore=shutil.ignore_patterns("__pycache__"))
    written(package, MEMBER)
    return package


def test_every_block_and_command_of_the_document_is_run_here():
    names = re.findall(r"^```python\n# (\S+\.py)$", TEXT, re.MULTILINE)
    assert set(names) == MEMBER | {"leaky.py", "test_leaky.py"}
    assert TEXT.count("```python") == len(names)
    assert len(commands("")) == len(commands("erase_write")) + len(commands("leaky"))


def test_a_member_of_a_family_is_a_folder_of_its_own_and_ok_in_every_row(linbench, member):
    (command,) = commands("erase_write")
    out, _ = linbench.process(*command, "--no-report", PYTHONPATH=str(member.parent))
    for name in ("chunk", "recurrent"):
        assert len(re.findall(rf"^ok +erase_write/{name}", out, re.MULTILINE)) == 16, out


def test_a_mistake_in_a_member_s_parametrization_is_found_by_its_definition(linbench, member):
    file = member / "erase_write" / "operator.py"
    text = file.read_text(encoding="utf-8")
    assert "(k, -alpha" in text
    file.write_text(text.replace("(k, -alpha", "(k, -1.001 * alpha"), encoding="utf-8")
    code = """
import torch
from linbench import Case
from linbench.core.registry import registry

registry.load()
operator = registry.operator("erase_write")
case = Case(1, 67, 2, 8, 5, "float64")
given = operator.generate(case, torch.Generator().manual_seed(0)).tensors
tensors = {name: x.double() for name, x in given.items()}
one, other = (form(tensors, None, {})[0] for form in (operator.reference, operator.recurrence))
print(float((one - other).norm() / other.norm()))
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=linbench.environment | {"PYTHONPATH": str(member.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) > 1e-5


def test_an_operator_added_as_the_document_says_is_ok_in_every_row(linbench, tmp_path):
    written(tmp_path, {"leaky.py", "test_leaky.py"})
    for command, rows in zip(commands("leaky"), (16, 2), strict=True):
        out, _ = linbench(*command, "--no-report")
        assert len(re.findall(r"^ok +leaky/recurrent", out, re.MULTILINE)) == rows, out
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_leaky.py"],
        cwd=tmp_path,
        env=linbench.environment,
        check=True,
        capture_output=True,
    )


def test_a_mistake_in_what_the_document_adds_is_wrong(linbench, tmp_path):
    written(tmp_path, {"leaky.py"})
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
