"""Service: what every kind of worker does: it starts, says what it is, and answers until it is closed."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import platform
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from linbench.core.registry import Registry, registry
from linbench.execution.listener import connect
from linbench.execution.messages import MESSAGE_VERSION, Answer, Hello, from_line, to_line
from linbench.execution.pipe import Pipe, PipeClosed
from linbench.measure.heap import keep_freed

PR_SET_PDEATHSIG = 1


def keep_for_good() -> None:
    """Have the collector leave what is alive now alone: modules, mostly, which take it 80 ms to look through.

    It is asked before every turn of timed calls.
    """
    gc.collect()
    gc.freeze()


def hello(found: Registry) -> Hello:
    """Return what this worker says of itself."""
    return Hello(
        message_version=MESSAGE_VERSION,
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
        cuda_available=torch.cuda.is_available(),
        implementations=tuple(implementation.name for implementation in found.implementations()),
        broken={plugin.name: plugin.reason for plugin in found.broken},
    )


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it dies, busy or not."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(pipe: Pipe, found: Registry, answer: Callable[[object], Answer]) -> None:
    """Answer requests until whoever asks closes the pipe."""
    keep_freed()
    with suppress(PipeClosed):
        pipe.send(to_line(hello(found)))
        while True:
            pipe.send(to_line(answer(from_line(pipe.receive()))))


def start(arguments: Sequence[str]) -> tuple[Pipe, Registry]:
    """Load plugins, and return the pipe to whoever asks and what can be asked for.

    Args:
        arguments: The path where whoever asks listens, and files of plugins.
    """
    path, *plugins = arguments
    end_with_parent()
    faulthandler.enable()
    pipe = connect(path)
    registry.load(plugins)
    keep_for_good()
    return pipe, registry
