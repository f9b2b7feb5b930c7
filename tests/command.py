"""The command line in a folder of its own, within this process or as one of its own."""

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
    """Runs `linbench` in a folder: within this process when it is called, as a user does by `process`.

    A call meets what a process of its own would: its environment, an empty stdin, and a registry of what is
    installed. It is faster by the imports, which it finds done.
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

    def __call__(self, *words, code=0, **extra):
        words, out, err = [*map(str, words)], Stream(), Stream()
        with (
            kept_registry(),
            patch.dict(os.environ, self.environment | extra, clear=True),
            patch.object(sys, "argv", [str(PROGRAM), *words]),
            contextlib.chdir(self.folder),
            Path(os.devnull).open() as stdin,
            patch.object(sys, "stdin", stdin),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main(words)
        return checked(ended.value.code, code, out.text, err.text)

    def process(self, *words, code=0, **extra):
        """Run a command in a process of its own."""
        process = self.start(*words, **extra)
        out, err = process.communicate(timeout=timeout_s(280))
        return checked(process.returncode, code, out, err)

    def start(self, *words, **extra):
        """Start a command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, *self.program, *map(str, words)],
            cwd=self.folder,
            env=self.environment | extra,
            stdin=self.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def outer_environment():
    """Return the environment without what pytest and pytest-xdist leave in it for themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


class Stream(io.TextIOWrapper):
    """Output of a command, which may be text or bytes."""

    def __init__(self):
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    @property
    def text(self):
        return self.buffer.getvalue().decode()


def checked(found, code, out, err):
    """Return what a command printed, if it ended with the code that is due."""
    assert found == code, f"exit {found}\n{out}\n{err}"
    return out, err


@contextlib.contextmanager
def kept_registry():
    """Put back what the registry holds, so that no plugin of a test meets another test."""
    if not vars(registry)["_plugin_names"]:
        registry.load()
    before = {name: value.copy() for name, value in vars(registry).items()}
    try:
        yield
    finally:
        vars(registry).update(before)
