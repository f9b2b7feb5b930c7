"""Wall time of a run over its timed seconds, and beside it pytest-benchmark on the same calls.

Run: python benchmarks/overhead.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import linbench
from linbench.execution.plan import Protocol

NAMES = ["linear/chunk", "linear/naive", "softmax/flash", "softmax/naive"]
LENGTHS = [128, 256, 512, 1024]
PEER = """
import pytest, torch, linbench
@pytest.mark.parametrize("name", {names})
@pytest.mark.parametrize("T", {lengths})
def test_call(benchmark, name, T):
    q, k, v = (torch.randn(1, T, 4, 64) for _ in range(3))
    benchmark(linbench.get(name), q, k, v)
"""


def ours(folder, processes):
    protocol = Protocol(processes=processes)
    start = time.perf_counter()
    run = linbench.run(
        T=LENGTHS, H=4, D=64, mode=["fwd"], impl=NAMES, device="cpu", db=folder / "x.db", protocol=protocol
    )
    wall = time.perf_counter() - start
    from linbench.store.store import Store

    found = Store(str(folder / "x.db")).run(run.id, with_samples=True)
    timed = sum(sum(row.time.samples_s) for row in found.measurements if row.time)
    return wall, timed, len(found.measurements)


def peer(folder):
    path = folder / "test_peer.py"
    path.write_text(PEER.format(names=NAMES, lengths=LENGTHS))
    words = ["-m", "pytest", "-q", str(path), "--benchmark-max-time=0.5", "-p", "no:cacheprovider"]
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - start


def main():
    rows = len(NAMES) * len(LENGTHS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{rows} rows, forward, float32, T = {LENGTHS}; checked, weighed and timed 0.5 s a row")
        other = peer(folder)
        print(f"{'harness':<28} {'wall s':>8} {'wall s a row':>13} {'of pytest-benchmark':>20}")
        print(f"{'pytest-benchmark, unchecked':<28} {other:>8.1f} {other / rows:>13.2f} {1:>20.2f}")
        for processes in (1, 5):
            wall, timed, _ = ours(folder, processes)
            label = f"linbench, {processes} process{'es' if processes > 1 else ''}"
            print(f"{label:<28} {wall:>8.1f} {wall / rows:>13.2f} {wall / other:>20.2f}", end="  ")
            print(f"timed {timed:.1f} s, wall / timed {wall / timed:.2f}")


if __name__ == "__main__":
    main()
