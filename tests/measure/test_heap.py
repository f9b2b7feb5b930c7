"""A worker keeps the memory that a call frees, and returns it where its resident set size is measured."""

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
    [torch.ones(5 * 2**20) for _ in range(4)]  # 20 MiB each; glibc by default returns the top of the heap
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
    (read, requests), (answers, write) = os.pipe(), os.pipe()
    os.close(requests)  # no request arrives
    serve(Pipe(read, write), Registry(), None)
serve_nothing() if sys.argv[1] == "serve" else getattr(heap, sys.argv[1])()
start = resident_bytes()
for _ in range(12):  # free blocks that are slightly too short are merged after some repetitions
    touch()
print(faults(touch), resident_bytes() - start)
"""


@pytest.mark.parametrize(
    ("setting", "most_faults", "least_faults", "keeps"),
    [("keep_freed", 20, 0, True), ("serve", 20, 0, True), ("return_freed", 24_000, 10, False)],
)
def test_freed_memory_is_kept_or_returned(setting, most_faults, least_faults, keeps):
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, setting],
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout_s(120),
    )
    faults, growth_bytes = map(int, process.stdout.split())
    assert least_faults <= faults <= most_faults
    assert (growth_bytes > 60_000_000) is keeps
