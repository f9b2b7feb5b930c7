"""What a worker and all that it started hold, read from /proc, beside what psutil says."""

import subprocess
import sys

import psutil
import pytest

from linbench.execution.resident import resident_bytes

HOLD = "import sys; held = bytearray(b'x') * int(sys.argv[1]); print(flush=True); sys.stdin.read()"
NEST = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]])"
MIB = 2**20


@pytest.mark.parametrize(
    "words", [[HOLD, str(64 * MIB)], [NEST, HOLD, str(64 * MIB)]], ids=["itself", "a child"]
)
def test_the_memory_of_a_process_and_its_children_is_counted(words):
    process = subprocess.Popen(
        [sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()
        found = resident_bytes(process.pid)
        known = psutil.Process(process.pid)
        due = sum(member.memory_info().rss for member in (known, *known.children(recursive=True)))
        assert found == pytest.approx(due, rel=0.02)
        assert found > 64 * MIB
    finally:
        process.communicate("")
    assert resident_bytes(process.pid) == 0
