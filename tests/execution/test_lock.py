import os
import subprocess
import sys

import pytest

from linbench.core.errors import EnvironmentRefused
from linbench.execution import lock

HOLD = "from linbench.execution import lock; from pathlib import Path; import sys, time\n"
HOLD += "lock.LOCKS = Path(sys.argv[1])\n"
HOLD += "with lock.exclusive(['GPU-1']):\n    print('held', flush=True); time.sleep(60)\n"


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "LOCKS", tmp_path)
    return tmp_path


def test_one_run_at_a_time_locks_a_gpu_and_the_error_names_the_holder(locks):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(locks)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with lock.exclusive(["GPU-2"]):
            pass
        with pytest.raises(EnvironmentRefused, match=f"GPU GPU-1 is being measured .*process {process.pid}"):
            lock.exclusive(["GPU-1"]).__enter__()
    finally:
        process.kill()
        process.communicate()
    with lock.exclusive(["GPU-1"]):  # the lock of a killed process is released
        assert (locks / "linbench-GPU-1.lock").read_text() == str(os.getpid())


def test_a_lock_file_that_is_a_link_is_refused(locks):
    (locks / "target").write_text("precious")
    (locks / "linbench-GPU-1.lock").symlink_to(locks / "target")
    with pytest.raises(EnvironmentRefused, match="cannot be opened"):
        lock.exclusive(["GPU-1"]).__enter__()
    assert (locks / "target").read_text() == "precious"
