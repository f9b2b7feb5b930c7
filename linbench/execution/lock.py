"""Lock: one run at a time on a GPU."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from linbench.core.errors import EnvironmentRefused


@contextmanager
def exclusive(uuids: list[str]) -> Iterator[None]:
    """Hold GPUs for this process alone, among the users of linbench on this machine.

    Raises:
        EnvironmentRefused: Another run holds one of them.
    """
    with ExitStack() as stack:
        for uuid in uuids:
            path = Path(tempfile.gettempdir()) / f"linbench-{uuid}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 64).decode("ascii", "replace").strip() or "unknown"
                raise EnvironmentRefused(
                    f"GPU {uuid} is being measured by another run (process {holder}); wait for it, or choose "
                    "another GPU with CUDA_VISIBLE_DEVICES"
                ) from None
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
