"""What tests share: the command line as a process of its own, and a folder to run it in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # what is tested is small: threads would wait for each other

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("linbench")
FAST_FIRST = ("core", "store", "impls", "report")


def pytest_collection_modifyitems(items):
    """Run the fast folders first, the rest after them in their own order."""
    folders = {item: item.path.relative_to(HERE).parts[0] for item in items}
    rank = {name: place for place, name in enumerate(FAST_FIRST)}
    items.sort(key=lambda item: rank.get(folders[item], len(FAST_FIRST)))


class CommandLine:
    """Runs `linbench` as a user would, in a folder of its own."""

    program: tuple[str, ...] = (PROGRAM,)
    stdin = subprocess.DEVNULL

    def __init__(self, folder):
        self.folder = folder
        self.environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": "",
            "COLUMNS": "100",
            "LINBENCH_PROCESSES": "1",
        }

    def start(self, *words, **extra):
        return subprocess.Popen(
            [sys.executable, *self.program, *map(str, words)],
            cwd=self.folder,
            env=self.environment | extra,
            stdin=self.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words, code=0, **extra):
        process = self.start(*words, **extra)
        out, err = process.communicate(timeout=280)
        assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
        return out, err


@pytest.fixture
def linbench(tmp_path):
    """The command line in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def command_line(tmp_path_factory):
    """Return the command line in a new folder, for a fixture that outlives a test."""
    return lambda name: CommandLine(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def measured(command_line):
    """The command line in a folder where every built-in implementation has been measured on a small grid."""
    command = command_line("measured")
    grid = ["--T", "64,130", "--H", "2", "--D", "16", "--mode", "fwd,fwd_bwd,prefill,decode"]
    command.output = command(
        "run", *grid, "--op", "linear,softmax", "--min-time", "20ms", "--processes", "2", "--device", "cpu"
    )
    command.run = command.output[0].split()[1].rstrip(":")
    return command


@pytest.fixture(scope="session")
def stored(command_line):
    """The command line in a folder where three implementations have been measured at three lengths.

    The ceilings of the machine were there before, made up.
    """
    from synthetic import CEILINGS

    from linbench.profiling.ceiling import keep

    command = command_line("stored")
    keep(CEILINGS.entries, str(command.folder / "results/linbench.db"))
    grid = ["--T", "32,64,128", "--H", "2", "--D", "8,16", "--device", "cpu", "--min-time", "2ms"]
    names = "linear/chunk,linear/naive,linear/cuda,softmax/flash"
    out, _ = command("run", *grid, "--impl", names, "--no-report")
    command.run = out.split()[1].rstrip(":")
    return command


@pytest.fixture(scope="session")
def loaded():
    """The registry with every installed plugin."""
    from linbench.core.registry import registry

    registry.load()
    assert not registry.broken, registry.broken
    return registry
