"""Memory that a call frees stays with a worker, and is returned where its resident set is weighed."""

import subprocess
import sys

import pytest
from timeouts import timeout_s

SCRIPT = """
import os, resource, sys
from pathlib import Path
import torch
from linbench.measure import heap
def touch():
    [torch.ones(5 * 2**20) for _ in range(4)]  # 20 MiB each; glibc by itself returns what is on top
def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
def faults(call):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def serve_nothing():
    from linbench.core.registry import Registry
    from linbench.execution.pipe import Pipe
    from linbench.execution.service import serve
    (read, asked), (answers, write) = os.pipe(), os.pipe()
    os.close(asked)  # it is asked nothing
    serve(Pipe(read, write), Registry(), None)
serve_nothing() if sys.argv[1] == "serve" else getattr(heap, sys.argv[1])()
start = resident_bytes()
for _ in range(12):  # blocks of a freed one that are a little too short are joined in the end
    touch()
print(faults(touch), resident_bytes() - start)
"""


@pytest.mark.parametrize(
    ("setting", "most_faults", "least_faults", "kept"),
    [("keep_freed", 20, 0, True), ("serve", 20, 0, True), ("return_freed", 24_000, 10, False)],
)
def test_freed_memory(setting, most_faults, least_faults, kept):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, setting],
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout_s(120),
    )
    faults, held_bytes = map(int, done.stdout.split())
    assert least_faults <= faults <= most_faults
    assert (held_bytes > 60_000_000) is kept
