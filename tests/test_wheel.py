"""A wheel is complete: what it installs measures and reports without a checkout."""

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
GENERATED_FILES = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")


def run(folder, *command):
    """Return the output of a command, run in a folder with an environment that does not name the checkout."""
    hidden = ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
    environment = {name: value for name, value in outer_environment().items() if name not in hidden}
    process = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment | {"CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s(120),
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of the tree, built by the installed setuptools."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    for outer in PACKAGES.values():
        shutil.copytree(ROOT / outer, tree / outer, ignore=GENERATED_FILES)
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    arguments = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, tree]
    run(folder, sys.executable, "-m", "pip", *arguments)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of a new environment with the wheel and all other packages of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    run(folder, sys.executable, "-m", "venv", "--without-pip", "environment")
    python = folder / "environment" / "bin" / "python"
    arguments = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    run(folder, sys.executable, "-m", "pip", "--python", python, *arguments)
    site = Path(run(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "packages.pth").write_text("\n".join(packages))  # the .pth files in these folders are not read
    return python.parent


def test_the_wheel_has_every_file_of_the_packages(wheel):
    expected = set()
    for package, outer in PACKAGES.items():
        folder = ROOT / ("." if package == outer else outer)
        files = (path for path in (folder / package).rglob("*") if path.is_file())
        expected |= {str(path.relative_to(folder)) for path in files if "__pycache__" not in path.parts}
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == expected


def test_the_wheel_measures_and_reports_without_a_checkout(installed, tmp_path):
    code = "import linbench, linbench_impls, linbench_kernels; print(linbench.__file__)"
    assert Path(run(tmp_path, installed / "python", "-P", "-c", code).strip()).is_relative_to(
        installed.parent
    )
    linbench = installed / "linbench"
    names = ["--impl", "linear/chunk,softmax/naive", "--grid", "quick", "--T", "64", "--device", "cpu"]
    stdout = run(tmp_path, linbench, "run", *names, "--once", "--no-report", "--format", "json")
    statuses = [(row["implementation"], row["status"]) for row in map(json.loads, stdout.splitlines())]
    assert statuses.count(("linear/chunk", "ok")) == 4
    assert statuses.count(("softmax/naive", "ok")) >= 2
    run(tmp_path, linbench, "report", "latest", "-o", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "linear/chunk" in page
    run(tmp_path, linbench, "export", "--to", "jsonl", "latest", "-o", "rows.jsonl")
    run(tmp_path, linbench, "import", "rows.jsonl", "--db", "other.db")
    assert "no problems" in run(tmp_path, linbench, "db", "check", "--db", "other.db")
