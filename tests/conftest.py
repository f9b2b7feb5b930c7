"""What tests share: the time that they have, where they run, the command line and the registry."""

import os
from pathlib import Path

import pytest
from command import CommandLine, kept_registry
from timeouts import timeout_s
from xdist.scheduler import LoadScopeScheduling

from linbench.core.registry import registry

os.environ.setdefault("OMP_NUM_THREADS", "1")  # what is tested is small: threads would wait for each other

TEST_TIMEOUT_S = 300.0
SHARING = "tests/cli/"  # its files share fixtures that take long


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Give every test the time that this machine needs."""
    if config.option.timeout is None:
        config.option.timeout = timeout_s(TEST_TIMEOUT_S)


def pytest_xdist_make_scheduler(config, log):
    """Return what deals tests out to the workers of pytest-xdist."""
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    """Gives a worker a file at a time; interpreted kernels, which share nothing, a test at a time."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        if path.startswith(SHARING):
            return SHARING
        return nodeid if Path(path).name.startswith("interpreted_") else path


@pytest.fixture(autouse=True)
def _registry_of_this_test():
    """What a test registers goes with it."""
    with kept_registry():
        yield


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
    """The command line in a folder where the forms of linear and softmax have been measured on a small grid.

    `softmax/flex`, which compiles for seconds a shape, is left to tests/impls/test_libraries.py.
    """
    command = command_line("measured")
    registry.load()
    names = [
        found.name
        for found in registry.implementations()
        if found.operator in ("linear", "softmax") and found.name != "softmax/flex"
    ]
    grid = ["--T", "130", "--H", "2", "--D", "16", "--mode", "fwd,fwd_bwd,prefill,decode"]
    sampling = ["--min-time", "20ms", "--processes", "2", "--device", "cpu"]
    command.output = command("run", *grid, "--impl", ",".join(names), *sampling)
    command.run = command.output[0].split()[1].rstrip(":")
    return command


@pytest.fixture(scope="session")
def stored(command_line):
    """The command line in a folder where three implementations have been measured at three lengths.

    The ceilings of the machine were there before, made up.
    """
    from synthetic import CEILINGS

    from linbench.profiling.ceiling import save_ceilings

    command = command_line("stored")
    save_ceilings(CEILINGS.entries, str(command.folder / "results/linbench.db"))
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
