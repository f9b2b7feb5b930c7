"""Service: the loop of every kind of worker: it starts, describes itself, and answers until it is closed."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import platform
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from linbench.core.registry import Registry
from linbench.core.registry import registry as global_registry
from linbench.execution.listener import connect
from linbench.execution.messages import MESSAGE_VERSION, Answer, Hello, from_line, to_line
from linbench.execution.pipe import Pipe, PipeClosed
from linbench.measure.heap import keep_freed

PR_SET_PDEATHSIG = 1


def freeze_live_objects() -> None:
    """Exempt the objects that are alive now from garbage collection.

    Most of them are modules, which a collection takes 80 ms to scan; there is one before every turn of timed
    calls.
    """
    gc.collect()
    gc.freeze()


def hello(registry: Registry) -> Hello:
    """Return the description of this worker."""
    return Hello(
        message_version=MESSAGE_VERSION,
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
        cuda_available=torch.cuda.is_available(),
        implementations=tuple(implementation.name for implementation in registry.implementations()),
        broken={plugin.name: plugin.reason for plugin in registry.broken},
    )


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even if it is busy."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(pipe: Pipe, registry: Registry, answer: Callable[[object], Answer]) -> None:
    """Answer requests until the client closes the pipe."""
    keep_freed()
    with suppress(PipeClosed):
        pipe.send(to_line(hello(registry)))
        while True:
            pipe.send(to_line(answer(from_line(pipe.receive()))))


def start(arguments: Sequence[str]) -> tuple[Pipe, Registry]:
    """Load plugins, and return the pipe to the client and the registry.

    Args:
        arguments: The path of the client's socket, then plugin files.
    """
    path, *plugins = arguments
    end_with_parent()
    faulthandler.enable()
    pipe = connect(path)
    global_registry.load(plugins)
    freeze_live_objects()
    return pipe, global_registry
