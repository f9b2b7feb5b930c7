"""Speed of the harness itself: start-up, writing and reading rows, and the report.

Run: pytest benchmarks/ --benchmark-json results/harness.json
"""

import subprocess
import sys
from dataclasses import replace

import pytest

from linbench.core.case import Case
from linbench.core.environment import Environment, Host
from linbench.core.grid import Grid
from linbench.core.measurement import Measurement, Memory, Status, TensorError, Time
from linbench.core.plan import Plan
from linbench.core.provenance import Code
from linbench.core.run import Run
from linbench.core.samples import Samples
from linbench.report.page import render
from linbench.store.store import Store

ENVIRONMENT = Environment(Host("A", 2, 2**34, "Linux", "3.11"), (), {}, Code("linbench"))
PLAN = Plan(Grid("axes"), "cpu")
SAMPLES_S = tuple(1e-3 + 1e-6 * number for number in range(100))


def rows(n):
    """Return n ok rows: 10 implementations, forward and backward, at as many lengths as needed."""
    samples = Samples(SAMPLES_S, cpu_s=SAMPLES_S, switches=(0,) * 100)
    time = Time("cpu", 1e-3, 9e-4, 1.1e-3, (50, 50), samples=samples)
    memory = Memory(2**21, 2**20, "allocator")
    errors = {"o": TensorError(1e-7, 1e-6, 1e-5, 1.0, 0, 1e-5, (1e-7,) * 16)}
    measurements = []
    for number in range(n):
        length, rest = divmod(number, 20)
        name = f"linear/{rest % 10}"
        case = Case(1, 64 * (length + 1), 4, 64, 64, mode="fwd" if rest < 10 else "fwd_bwd")
        results = {"time": time, "memory": memory, "errors": errors, "first_call_s": 0.1}
        measurements.append(Measurement("linear", name, case, Status.OK, deterministic=True, **results))
    return measurements


def run_of(measurements):
    """Return a run with these rows."""
    start = "2026-11-22T14:30:00+00:00"
    return Run("20261122-143000-1a2b", start, None, ENVIRONMENT, PLAN, tuple(measurements))


@pytest.mark.parametrize("arguments", ["--help", "list grids", "list implementations"])
def test_command(benchmark, arguments):
    command = [sys.executable, "-m", "linbench", *arguments.split()]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=10)


@pytest.mark.parametrize("per_transaction", [20, 1000])
def test_store_1000_rows(benchmark, tmp_path, per_transaction):
    store = Store(str(tmp_path / "x.db"), write=True)
    measurements = rows(1000)

    def insert():
        run = store.begin(ENVIRONMENT, PLAN).id
        for start in range(0, 1000, per_transaction):
            store.append(run, measurements[start : start + per_transaction])
        return run

    run = benchmark.pedantic(insert, rounds=3, warmup_rounds=1)
    assert len(store.run(run).measurements) == 1000


def test_read_1000_rows_with_samples(benchmark, tmp_path):
    store = Store(str(tmp_path / "x.db"), write=True)
    run = store.begin(ENVIRONMENT, PLAN).id
    store.append(run, rows(1000))
    stored_run = benchmark.pedantic(store.run, (run,), {"with_samples": True}, rounds=5, warmup_rounds=1)
    assert stored_run.measurements == tuple(
        replace(row, time=replace(row.time, samples=as_stored(row.time.samples))) for row in rows(1000)
    )


def as_stored(samples):
    """Return samples rounded to float32, as the store does."""
    import numpy as np

    times = {name: tuple(np.float32(getattr(samples, name)).tolist()) for name in ("time_s", "cpu_s")}
    return replace(samples, **times)


@pytest.mark.parametrize("n", [1000, 4000])
def test_report(benchmark, n):
    page = benchmark.pedantic(render, (run_of(rows(n)),), rounds=3, warmup_rounds=1)
    assert "<html" in page
