"""Wall time of a run over its timed seconds, the share of telemetry and calibration, and pytest-benchmark.

Run: python benchmarks/overhead.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import linbench
from linbench.core.plan import Settings
from linbench.execution.slot import Slot
from linbench.measure.telemetry import Telemetry

NAMES = ["linear/chunk", "linear/naive", "softmax/flash", "softmax/naive"]
LENGTHS = [128, 256, 512, 1024]
TIMED_S = 0.5
PEER = """
import pytest, torch, linbench
@pytest.mark.parametrize("name", {names})
@pytest.mark.parametrize("T", {lengths})
def test_call(benchmark, name, T):
    q, k, v = (torch.randn(1, T, 4, 64) for _ in range(3))
    benchmark(linbench.get(name), q, k, v)
"""


class Meter:
    """Seconds spent in each reading of telemetry, and each time that the calibration op was asked for."""

    def __init__(self):
        self.spent_s = []
        self.calibrations_s = []
        self._read, self._ask = Telemetry.read, Slot.ask

    def __enter__(self):
        def read(telemetry):
            start = time.perf_counter()
            found = self._read(telemetry)
            self.spent_s.append(time.perf_counter() - start)
            return found

        def ask(slot, message, *rest):
            start = time.perf_counter()
            found = self._ask(slot, message, *rest)
            if message["do"] == "calibration":
                self.calibrations_s.append(time.perf_counter() - start)
            return found

        Telemetry.read, Slot.ask = read, ask
        return self

    def __exit__(self, *_):
        Telemetry.read, Slot.ask = self._read, self._ask


def ours(folder, processes):
    """Return the rows of each case, when each was done after the start, and the meter."""
    settings = Settings(processes=processes, precision=0.0, min_time_s=TIMED_S, max_time_s=TIMED_S)
    cases, done_s = [], []
    start = time.perf_counter()

    def note(rows):
        cases.append(rows)
        done_s.append(time.perf_counter() - start)

    with Meter() as meter:
        linbench.run(
            T=LENGTHS,
            H=4,
            D=64,
            mode=["fwd"],
            impl=NAMES,
            device="cpu",
            db=folder / "x.db",
            settings=settings,
            on_rows=note,
        )
    return cases, done_s, meter


def timed_s(cases):
    return sum(sum(row.time.samples.time_s) for rows in cases for row in rows)


def peer(folder):
    path = folder / "test_pytest_benchmark.py"
    path.write_text(PEER.format(names=NAMES, lengths=LENGTHS))
    words = ["-m", "pytest", "-q", str(path), f"--benchmark-max-time={TIMED_S}", "-p", "no:cacheprovider"]
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - start


def main():
    rows = len(NAMES) * len(LENGTHS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{rows} rows, forward, float32, T = {LENGTHS}; checked, weighed and timed {TIMED_S} s a row")
        print("without start: the cases after the first, which finds no process running and starts them all")
        other = peer(folder)
        print(f"{'harness':<28} {'wall s':>8} {'wall s a row':>13} {'of pytest-benchmark':>20}")
        print(f"{'pytest-benchmark, unchecked':<28} {other:>8.1f} {other / rows:>13.2f} {1:>20.2f}")
        for processes in (1, 5):
            cases, done_s, meter = ours(folder, processes)
            readings_s, calibrations_s = meter.spent_s, meter.calibrations_s
            wall, timed = done_s[-1], timed_s(cases)
            warm = (wall - done_s[0]) / timed_s(cases[1:])
            label = f"linbench, {processes} process{'es' if processes > 1 else ''}"
            print(f"{label:<28} {wall:>8.1f} {wall / rows:>13.2f} {wall / other:>20.2f}", end="  ")
            print(f"timed {timed:.1f} s, wall / timed {wall / timed:.2f}, without start {warm:.2f}")
            again = sum(row.telemetry["rounds_again"] for rows in cases for row in rows)
            cost = f"{1e3 * median(readings_s):.1f} ms a reading, {len(readings_s) / rows:.1f} readings a row"
            share = (
                f"{1e3 * sum(readings_s) / rows:.0f} ms a row, {sum(readings_s) / wall:.1%} of the wall time"
            )
            per_turn_ms = 1e3 * median(calibrations_s)
            beside = f"{per_turn_ms:.1f} ms per turn, {sum(calibrations_s) / wall:.1%} of the wall time"
            print(f"{'':<28} calibration op: {beside}")
            print(f"{'':<28} telemetry: {cost}, {share}; {again} turns measured again for disturbance")


if __name__ == "__main__":
    main()
