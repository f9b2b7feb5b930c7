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
from linbench.execution.messages import TimeCalibration
from linbench.execution.slot import Slot
from linbench.measure.telemetry import Monitor

NAMES = ["linear/chunk", "linear/naive", "softmax/flash", "softmax/naive"]
LENGTHS = [128, 256, 512, 1024]
TIMED_S = 0.5
PYTEST_BENCHMARK = """
import pytest, torch, linbench
@pytest.mark.parametrize("name", {names})
@pytest.mark.parametrize("T", {lengths})
def test_call(benchmark, name, T):
    q, k, v = (torch.randn(1, T, 4, 64) for _ in range(3))
    benchmark(linbench.get(name), q, k, v)
"""


class Meter:
    """Duration of each telemetry reading and of each request of the calibration op, seconds."""

    def __init__(self):
        self.readings_s = []
        self.calibrations_s = []
        self._original_read, self._original_ask = Monitor.read, Slot.ask

    def __enter__(self):
        def read(monitor):
            start = time.perf_counter()
            reading = self._original_read(monitor)
            self.readings_s.append(time.perf_counter() - start)
            return reading

        def ask(slot, request, *rest):
            start = time.perf_counter()
            answer = self._original_ask(slot, request, *rest)
            if isinstance(request, TimeCalibration):
                self.calibrations_s.append(time.perf_counter() - start)
            return answer

        Monitor.read, Slot.ask = read, ask
        return self

    def __exit__(self, *_):
        Monitor.read, Slot.ask = self._original_read, self._original_ask


def run_linbench(folder, processes):
    """Return the rows of each case, the time at which each case ended, and the meter."""
    settings = Settings(processes=processes, precision=0.0, min_time_s=TIMED_S, max_time_s=TIMED_S)
    cases, ends_s = [], []
    start = time.perf_counter()

    def note(rows):
        cases.append(rows)
        ends_s.append(time.perf_counter() - start)

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
    return cases, ends_s, meter


def total_timed_s(cases):
    return sum(sum(row.time.samples.time_s) for rows in cases for row in rows)


def run_pytest_benchmark(folder):
    path = folder / "test_pytest_benchmark.py"
    path.write_text(PYTEST_BENCHMARK.format(names=NAMES, lengths=LENGTHS))
    arguments = ["-m", "pytest", "-q", str(path), f"--benchmark-max-time={TIMED_S}", "-p", "no:cacheprovider"]
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - start


def main():
    rows = len(NAMES) * len(LENGTHS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(
            f"{rows} rows, forward, float32, T = {LENGTHS}; checked, with memory, timed {TIMED_S} s per row"
        )
        print("without start: the cases after the first, which has to start all worker processes")
        pytest_s = run_pytest_benchmark(folder)
        print(f"{'harness':<28} {'wall s':>8} {'wall s / row':>13} {'of pytest-benchmark':>20}")
        print(f"{'pytest-benchmark, unchecked':<28} {pytest_s:>8.1f} {pytest_s / rows:>13.2f} {1:>20.2f}")
        for processes in (1, 5):
            cases, ends_s, meter = run_linbench(folder, processes)
            readings_s, calibrations_s = meter.readings_s, meter.calibrations_s
            wall_s, timed_s = ends_s[-1], total_timed_s(cases)
            warm = (wall_s - ends_s[0]) / total_timed_s(cases[1:])
            label = f"linbench, {processes} process{'es' if processes > 1 else ''}"
            print(f"{label:<28} {wall_s:>8.1f} {wall_s / rows:>13.2f} {wall_s / pytest_s:>20.2f}", end="  ")
            print(f"timed {timed_s:.1f} s, wall / timed {wall_s / timed_s:.2f}, without start {warm:.2f}")
            repeats = sum(row.telemetry.rounds_again for case_rows in cases for row in case_rows)
            per_reading = f"{1e3 * median(readings_s):.1f} ms per reading"
            per_row = (
                f"{len(readings_s) / rows:.1f} readings and {1e3 * sum(readings_s) / rows:.0f} ms per row"
            )
            share = f"{sum(readings_s) / wall_s:.1%} of the wall time"
            per_turn = f"{1e3 * median(calibrations_s):.1f} ms per turn"
            print(f"{'':<28} calibration op: {per_turn}, {sum(calibrations_s) / wall_s:.1%} of the wall time")
            print(
                f"{'':<28} telemetry: {per_reading}, {per_row}, {share}; {repeats} disturbed rounds repeated"
            )


if __name__ == "__main__":
    main()
