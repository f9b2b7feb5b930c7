"""The command line in its own folder, run within this process or as a separate process."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from timeouts import timeout_s

from linbench.cli import main
from linbench.core.registry import registry

PROGRAM = Path(sys.executable).with_name("linbench")


class CommandLine:
    """Runs `linbench` in a folder: within this process when it is called, as a separate process by `process`.

    A call has the same environment, empty stdin and registry of installed plugins as a separate process. It
    is faster, because the modules are already imported.
    """

    program: tuple[str, ...] = (str(PROGRAM),)
    stdin = subprocess.DEVNULL

    def __init__(self, folder):
        self.folder = folder
        self.environment = outer_environment() | {
            "CUDA_VISIBLE_DEVICES": "",
            "COLUMNS": "100",
            "LINBENCH_PROCESSES": "1",
        }

    def __call__(self, *arguments, code=0, **extra):
        arguments, stdout, stderr = [*map(str, arguments)], Stream(), Stream()
        with (
            preserve_registry(),
            patch.dict(os.environ, self.environment | extra, clear=True),
            patch.object(sys, "argv", [str(PROGRAM), *arguments]),
            contextlib.chdir(self.folder),
            Path(os.devnull).open() as stdin,
            patch.object(sys, "stdin", stdin),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
            pytest.raises(SystemExit) as system_exit,
        ):
            main(arguments)
        return check_exit(system_exit.value.code, code, stdout.text, stderr.text)

    def process(self, *arguments, code=0, **extra):
        """Run a command in a separate process."""
        process = self.start(*arguments, **extra)
        stdout, stderr = process.communicate(timeout=timeout_s(280))
        return check_exit(process.returncode, code, stdout, stderr)

    def start(self, *arguments, **extra):
        """Start a command in a separate process."""
        return subprocess.Popen(
            [sys.executable, *self.program, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | extra,
            stdin=self.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def outer_environment():
    """Return the environment without the variables of pytest and pytest-xdist."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


class Stream(io.TextIOWrapper):
    """The output of a command, text or bytes."""

    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    @property
    def text(self):
        return self.buffer.getvalue().decode()


def check_exit(actual_code, expected_code, stdout, stderr):
    """Return the output of a command, if it ended with the expected exit code."""
    assert actual_code == expected_code, f"exit {actual_code}\n{stdout}\n{stderr}"
    return stdout, stderr


@contextlib.contextmanager
def preserve_registry():
    """Restore the content of the registry, so that the plugins of a test do not affect other tests."""
    if not vars(registry)["_plugin_names"]:
        registry.load()
    before = {name: value.copy() for name, value in vars(registry).items()}
    try:
        yield
    finally:
        vars(registry).update(before)
