"""What a wheel installs is whole: it measures and reports where there is no checkout."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import outer_environment
from timeouts import timeout_s

ROOT = Path(__file__).parents[1]
PACKAGES = {"linbench": "linbench", "linbench_impls": "impls", "linbench_kernels": "kernels"}
FILES = ("pyproject.toml", "README.md", "LICENSE")
MADE = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")


def run(folder, *command):
    """Return what a command prints, run in a folder without what leads to the checkout."""
    hidden = ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
    environment = {name: value for name, value in outer_environment().items() if name not in hidden}
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment | {"CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s(120),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the tree, built by the setuptools that is there."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    for outer in PACKAGES.values():
        shutil.copytree(ROOT / outer, tree / outer, ignore=MADE)
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    words = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, tree]
    run(folder, sys.executable, "-m", "pip", *words)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of a new environment that has the wheel, and finds all else that this one has."""
    folder = tmp_path_factory.mktemp("installed")
    run(folder, sys.executable, "-m", "venv", "--without-pip", "made")
    python = folder / "made" / "bin" / "python"
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    run(folder, sys.executable, "-m", "pip", "--python", python, *words)
    site = Path(run(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "others.pth").write_text("\n".join(others))  # whose own .pth files are not read
    return python.parent


def test_it_holds_every_file_of_the_packages(wheel):
    due = set()
    for package, outer in PACKAGES.items():
        folder = ROOT / ("." if package == outer else outer)
        files = (path for path in (folder / package).rglob("*") if path.is_file())
        due |= {str(path.relative_to(folder)) for path in files if "__pycache__" not in path.parts}
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == due


def test_it_measures_and_reports_outside_a_checkout(installed, tmp_path):
    where = "import linbench, linbench_impls, linbench_kernels; print(linbench.__file__)"
    assert Path(run(tmp_path, installed / "python", "-P", "-c", where).strip()).is_relative_to(
        installed.parent
    )
    linbench = installed / "linbench"
    names = ["--impl", "linear/chunk,softmax/naive", "--grid", "quick", "--T", "64", "--device", "cpu"]
    out = run(tmp_path, linbench, "run", *names, "--once", "--no-report", "--format", "json")
    statuses = [(row["implementation"], row["status"]) for row in map(json.loads, out.splitlines())]
    assert statuses.count(("linear/chunk", "ok")) == 4
    assert statuses.count(("softmax/naive", "ok")) >= 2
    run(tmp_path, linbench, "report", "latest", "-o", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "linear/chunk" in page
    run(tmp_path, linbench, "export", "--to", "jsonl", "latest", "-o", "rows.jsonl")
    run(tmp_path, linbench, "import", "rows.jsonl", "--db", "other.db")
    assert "no problems" in run(tmp_path, linbench, "db", "check", "--db", "other.db")
