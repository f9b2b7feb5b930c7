"""Lock: one run at a time per GPU."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from linbench.core.errors import EnvironmentRefused

LOCKS = Path("/tmp")


@contextmanager
def exclusive(uuids: list[str]) -> Iterator[None]:
    """Lock GPUs for this process, among all runs of linbench on this machine.

    Raises:
        EnvironmentRefused: Another run holds one of them.
    """
    with ExitStack() as stack:
        for uuid in uuids:
            path = LOCKS / f"linbench-{uuid}.lock"
            descriptor = _open(path)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 64).decode("ascii", "replace").strip() or "unknown"
                raise EnvironmentRefused(
                    f"GPU {uuid} is being measured by another run (process {holder}); wait for it, or choose "
                    "another GPU with CUDA_VISIBLE_DEVICES"
                ) from None
            with suppress(OSError):  # another user's file can be locked but not written
                path.write_text(str(os.getpid()), encoding="ascii")
        yield


def _open(path: Path) -> int:
    """Return a descriptor of a lock file, which is created if it does not exist; links are not followed."""
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise EnvironmentRefused(f"the lock {path} cannot be opened: {error.strerror}") from None
