"""The zygote: a process that imports torch once, and becomes a fresh worker by forking.

It is started with one socket. {"path": ..., "plugins": ...} with three descriptors (to read, to write, for
output) asks for a worker, which loads its plugins itself; a number asks to wait for the worker of that
number. The zygote makes no call of torch, so that no thread and no device is lost in a fork. Workers of two
versions of some code are forked from one zygote: their memory is laid out alike but for what differs.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import socket
import sys
from collections.abc import Sequence

from linbench.core.registry import registry
from linbench.execution.pipe import Pipe
from linbench.execution.worker import end_with_parent, keep_for_good, serve

MAX_ORDER_BYTES = 2**16


def main(arguments: Sequence[str]) -> None:
    """Fork workers and wait for them until the run closes the socket."""
    (descriptor,) = arguments
    end_with_parent()
    faulthandler.enable()
    keep_for_good()
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    control.send(b"{}")
    while True:
        order, given, _, _ = socket.recv_fds(control, MAX_ORDER_BYTES, 3)
        if not order:
            return
        asked = json.loads(order)
        if isinstance(asked, dict):
            pid = os.fork()
            if pid == 0:
                become_worker(control, given, **asked)
            for each in given:
                os.close(each)
            control.send(str(pid).encode())
        else:
            _, status = os.waitpid(asked, 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())


def become_worker(
    control: socket.socket, given: Sequence[int], path: Sequence[str] | None, plugins: Sequence[str]
) -> None:
    """Be a worker in a session of its own, and end with it."""
    read_fd, write_fd, log_fd = given
    code = 1
    try:
        control.close()
        os.setsid()
        end_with_parent()
        for stream in (1, 2):
            os.dup2(log_fd, stream)
        os.close(log_fd)
        if path is not None:
            sys.path[:] = path
            os.environ["PYTHONPATH"] = os.pathsep.join(path)
            importlib.invalidate_caches()
        registry.load(plugins)
        keep_for_good()
        serve(Pipe(read_fd, write_fd), registry)
        code = 0
    except BaseException:  # whatever it is belongs to this worker, not to the zygote
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
