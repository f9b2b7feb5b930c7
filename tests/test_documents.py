"""Every block of every document runs, every link resolves, and the index leads to every page in two steps."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from scratch import Scratch
from timeouts import timeout_s

from linbench.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "impls/*.md", "kernels/*.md", "results/published/*.md")
    for path in ROOT.glob(pattern)
)
OWN_TEST = {
    "docs/guides/add-an-operator.md": "tests/impls/test_add_an_operator.py",
    "docs/guides/add-a-column.md": "tests/store/test_adding_a_column.py",
    "docs/guides/analyse-in-a-notebook.md": "tests/analysis/test_notebook.py",
}
LONG = {
    "linbench doctor --ceilings": "tests/profiling/test_ceilings.py",
    "linbench kernels inspect": "tests/profiling/test_compiled_kernels.py",
    "linbench selftest --faults": "tests/execution/test_faults.py",
    "linbench selftest --sensitivity": "tests/selftest/test_smallest_errors.py",
    "linbench selftest --slowdowns": "tests/selftest/test_slowdowns.py",
}
"""Commands that take minutes, or a compiler: here their arguments are parsed, and another test runs them."""

NUMBER = re.compile(r"[+-]?\d[\d,.]*(e[+-]?\d+)?")
UNIT = re.compile(r"\b(ns|µs|ms|s|B|KiB|MiB|GiB)\b")
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
FLAGS = re.compile(r"( +(unstable|contended))+$")


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks_of(document):
    """Return the language and the text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text_of(document), re.DOTALL | re.MULTILINE)


def shape(line):
    """Return a line of output without what differs from run to run."""
    for pattern, word in ((RUN_ID, "RUN"), (FLAGS, ""), (NUMBER, "N"), (UNIT, "UNIT")):
        line = pattern.sub(word, line)
    return " ".join(line.split())


@pytest.fixture
def folder(tmp_path):
    """A git repository to work in, whose upstream branch is origin/main."""
    scratch = Scratch(tmp_path, {"notes.txt": "nothing to measure"})
    scratch.git("update-ref", "refs/remotes/origin/main", "HEAD")
    return scratch.folder


def parse(arguments):
    """Parse the arguments of a `linbench` command as the command line does, and run nothing."""
    context, command = app.make_context("linbench", list(arguments)), app
    rest = list(arguments)
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=name)
    command.make_context(name, rest, parent=context)


def run_console(block, folder):
    """Run each command of a block, and look for the lines that the block shows below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").splitlines()
        command = re.sub(r"\s+#.*", "", command)
        output = run_command(command, folder)
        lines = {shape(line) for line in output.splitlines()}
        for line in shown:
            assert line == "..." or shape(line) in lines, (command, line, output)


def run_command(command, folder):
    """Return the output of a command, which is parsed only if it takes long or belongs to the checkout."""
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if any(command.endswith(long) or f"{long} " in command for long in LONG):
        parse(words[1:])
    elif words[0] == "make":
        assert re.search(rf"^[a-z -]*\b{words[1]}\b[a-z -]*:", text_of("Makefile"), re.MULTILINE), command
    elif words[0] == "python":
        script = text_of(words[1])
        assert all(word in script for word in words if word.startswith("--")), command
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
        assert all(extra in extras for extra in re.findall(r"linbench\[(\w+)\]", command)), command
    else:
        return run_linbench(command, folder)
    return ""


def run_linbench(command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "LINBENCH_PROCESSES": "1",
        "LINBENCH_MIN_TIME": "20ms",
    }
    result = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s(280),
        check=False,
    )
    expected = 1 if command.startswith("linbench compare linear/naive") else 0  # chunk is slower at T = 64
    assert result.returncode == expected, (command, result.stdout)
    return result.stdout


def run_python(block, folder, document, namespace):
    """Run a block; one whose first line names a file is written to it, for a command of the document."""
    name = re.match(r"# (\S+\.py)\n", block)
    if name is None:
        exec(compile(block, document, "exec"), namespace)
        return
    assert any(language == "console" and name[1] in text for language, text in blocks_of(document)), name[1]
    (folder / name[1]).write_text(block, encoding="utf-8")


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks_of(name) and name not in OWN_TEST])
def test_every_block_of_a_document_runs(document, folder, monkeypatch):
    import torch

    for path in (ROOT / document).parent.glob("*.jsonl"):
        shutil.copy(path, folder)
    monkeypatch.chdir(folder)
    namespace = dict(zip("qkv", torch.randn(3, 1, 64, 2, 16), strict=True))
    for language, block in blocks_of(document):
        if language == "console":
            run_console(block, folder)
        elif language == "python":
            run_python(block, folder, document, namespace)
        elif language == "toml":
            tomllib.loads(block)
        else:
            assert language == "text", (document, language)  # an illustration, which says so


@pytest.mark.parametrize(("document", "test"), OWN_TEST.items())
def test_a_document_with_a_test_of_its_own_is_read_by_it(document, test):
    assert Path(document).name in text_of(test)


def test_a_command_that_takes_long_is_run_by_another_test():
    assert all((ROOT / test).is_file() for test in LONG.values())


def test_every_command_of_the_readme_s_table_is_valid():
    table = text_of("README.md").partition("## Commands")[2].partition("## ")[0]
    commands = re.findall(r"`linbench ([^`]+)`", table)
    assert len(commands) > 20
    for command in commands:
        parse(shlex.split(command))


def anchors(document):
    """Return the anchors of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def links(document):
    """Return the target and the anchor of each relative link of a document."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if not target.startswith(("http:", "https:")):
            path, _, anchor = target.partition("#")
            yield ((ROOT / document).parent / path if path else ROOT / document).resolve(), anchor


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_resolves(document):
    for target, anchor in links(document):
        assert target.exists(), target
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.relative_to(ROOT)), (target, anchor)


def test_the_index_leads_to_every_page_in_two_steps():
    def reachable(pages):
        return pages | {
            target for page in pages for target, _ in links(page.relative_to(ROOT)) if target.suffix == ".md"
        }

    pages = {(ROOT / name).resolve() for name in DOCUMENTS if name.startswith("docs/")}
    assert pages <= reachable(reachable({(ROOT / "docs/index.md").resolve()}))


def test_the_glossary_is_short():
    assert text_of("docs/glossary.md").count("\n| ") <= 22  # the header, the rule, and twenty words
