"""The zygote: a process that imports torch once, and from which fresh workers are forked.

It is started with one socket and receives the orders of `linbench.execution.orders`: it forks workers, which
load their plugins themselves, and waits for them. It never calls torch, so that no thread and no device is
lost in a fork. The workers of two versions of some code are forked from one zygote, so that their memory
layouts are the same except for what differs in the code.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import socket
import sys
from collections.abc import Sequence

from linbench.core.codec import decode_text
from linbench.core.registry import registry
from linbench.execution.orders import ForkOrder, Order
from linbench.execution.pipe import Pipe
from linbench.execution.service import end_with_parent, freeze_live_objects, serve
from linbench.execution.worker import Worker

MAX_ORDER_BYTES = 2**16


def main(arguments: Sequence[str]) -> None:
    """Fork workers and wait for them until the run closes the socket."""
    (control_fd,) = arguments
    end_with_parent()
    faulthandler.enable()
    freeze_live_objects()
    control = socket.socket(fileno=int(control_fd))
    control.set_inheritable(False)
    control.send(b"{}")
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, MAX_ORDER_BYTES, 3)
        if not data:
            return
        order = decode_text(Order, data)
        if order.fork is not None:
            pid = os.fork()
            if pid == 0:
                become_worker(control, descriptors, order.fork)
            for descriptor in descriptors:
                os.close(descriptor)
            control.send(str(pid).encode())
        if order.wait is not None:
            _, status = os.waitpid(order.wait.pid, 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())


def become_worker(control: socket.socket, descriptors: Sequence[int], order: ForkOrder) -> None:
    """Run a worker in its own session, then exit."""
    read_fd, write_fd, log_fd = descriptors
    code = 1
    try:
        control.close()
        os.setsid()
        end_with_parent()
        for stream in (1, 2):
            os.dup2(log_fd, stream)
        os.close(log_fd)
        if order.path is not None:
            sys.path[:] = order.path
            os.environ["PYTHONPATH"] = os.pathsep.join(order.path)
            importlib.invalidate_caches()
        registry.load(order.plugins)
        freeze_live_objects()
        serve(Pipe(read_fd, write_fd), registry, Worker(registry).answer)
        code = 0
    except BaseException:  # any exception is this worker's, not the zygote's
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
