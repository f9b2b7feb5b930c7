"""Shared configuration of the tests: timeouts, distribution to workers, the command line and the registry."""

import os
from pathlib import Path

import pytest
from command import CommandLine, preserve_registry
from timeouts import timeout_s
from xdist.scheduler import LoadScopeScheduling

from linbench.core.registry import registry

# Tensors in tests are small: with more threads, these would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TEST_TIMEOUT_S = 300.0
SHARED_SCOPE = "tests/cli/"  # its files share slow fixtures


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Set the timeout of a test by the speed of this machine."""
    if config.option.timeout is None:
        config.option.timeout = timeout_s(TEST_TIMEOUT_S)


def pytest_xdist_make_scheduler(config, log):
    """Return the scheduler that distributes tests to the workers of pytest-xdist."""
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    """Distributes tests by file; long tests that share nothing, of kernels and of documents, one by one."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        if path.startswith(SHARED_SCOPE):
            return SHARED_SCOPE
        return nodeid if Path(path).name.startswith(("interpreted_", "test_documents")) else path


@pytest.fixture(autouse=True)
def _isolated_registry():
    """Remove the registrations of a test after it."""
    with preserve_registry():
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
    """The command line in a folder with a run of the implementations of linear and softmax on a small grid.

    `softmax/flex`, which compiles for seconds per shape, is tested in tests/impls/test_libraries.py.
    """
    command = command_line("measured")
    registry.load()
    names = [
        implementation.name
        for implementation in registry.implementations()
        if implementation.operator in ("linear", "softmax") and implementation.name != "softmax/flex"
    ]
    grid = ["--T", "130", "--H", "2", "--D", "16", "--mode", "fwd,fwd_bwd,prefill,decode"]
    sampling = ["--min-time", "20ms", "--processes", "2", "--device", "cpu"]
    command.output = command("run", *grid, "--impl", ",".join(names), *sampling)
    command.run = command.output[0].split()[1].rstrip(":")
    return command


@pytest.fixture(scope="session")
def stored(command_line):
    """The command line in a folder with a run of four implementations at three lengths.

    The database also holds synthetic ceilings of the machine.
    """
    from synthetic import CEILINGS

    from linbench.profiling.ceiling import save_ceilings

    command = command_line("stored")
    save_ceilings(CEILINGS.entries, str(command.folder / "results/linbench.db"))
    grid = ["--T", "32,64,128", "--H", "2", "--D", "8,16", "--device", "cpu", "--min-time", "2ms"]
    names = "linear/chunk,linear/naive,linear/cuda,softmax/flash"
    stdout, _ = command("run", *grid, "--impl", names, "--no-report")
    command.run = stdout.split()[1].rstrip(":")
    return command


@pytest.fixture(scope="session")
def loaded():
    """The registry with every installed plugin."""
    from linbench.core.registry import registry

    registry.load()
    assert not registry.broken, registry.broken
    return registry
