"""The resident memory of a process and its descendants from /proc, compared with psutil."""

import subprocess
import sys

import psutil
import pytest

from linbench.execution.resident import resident_bytes

HOLD = "import sys; memory = bytearray(b'x') * int(sys.argv[1]); print(flush=True); sys.stdin.read()"
NEST = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], sys.argv[2]])"
MIB = 2**20


@pytest.mark.parametrize(
    "arguments", [[HOLD, str(64 * MIB)], [NEST, HOLD, str(64 * MIB)]], ids=["itself", "a child"]
)
def test_the_memory_of_a_process_and_its_children_is_counted(arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()
        rss_bytes = resident_bytes(process.pid)
        parent = psutil.Process(process.pid)
        expected = sum(member.memory_info().rss for member in (parent, *parent.children(recursive=True)))
        assert rss_bytes == pytest.approx(expected, rel=0.02)
        assert rss_bytes > 64 * MIB
    finally:
        process.communicate("")
    assert resident_bytes(process.pid) == 0
