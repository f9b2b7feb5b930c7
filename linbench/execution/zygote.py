"""The zygote: a process that imports torch once, and becomes a fresh worker by forking.

It is started with one socket, and takes the orders of `linbench.execution.orders`: it forks workers, which
load their plugins themselves, and waits for them. It makes no call of torch, so that no thread and no device
is lost in a fork. Workers of two versions of some code are forked from one zygote: their memory is laid out
alike but for what differs.
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
from linbench.execution.service import end_with_parent, keep_for_good, serve
from linbench.execution.worker import Worker

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
        asked = decode_text(Order, order)
        if asked.fork is not None:
            pid = os.fork()
            if pid == 0:
                become_worker(control, given, asked.fork)
            for number in given:
                os.close(number)
            control.send(str(pid).encode())
        if asked.wait is not None:
            _, status = os.waitpid(asked.wait.pid, 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())


def become_worker(control: socket.socket, given: Sequence[int], order: ForkOrder) -> None:
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
        if order.path is not None:
            sys.path[:] = order.path
            os.environ["PYTHONPATH"] = os.pathsep.join(order.path)
            importlib.invalidate_caches()
        registry.load(order.plugins)
        keep_for_good()
        serve(Pipe(read_fd, write_fd), registry, Worker(registry).answer)
        code = 0
    except BaseException:  # whatever it is belongs to this worker, not to the zygote
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
