"""Spread of the reported time over invocations: linbench, a do_bench-style mean and pytest-benchmark.

Each invocation is a fresh process, or several where the tool starts them, that measures both operations. In
every round each tool is invoked once, in random order, so that all meet the same minutes.

Run: python benchmarks/stability.py --rounds 10
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NAMES = ["linear/chunk", "softmax/flash"]
T, H, D = 1024, 4, 64
DRAWS = 10_000
OURS = "linbench run"
PEERS = ["do_bench-style mean", "pytest-benchmark mean"]

# The protocol of triton.testing.do_bench on the CPU: five calls are timed together for an estimate, then
# calls for 25 ms warm up and calls for 100 ms are timed one by one; the mean of all of them is reported.
# Triton's flush of the GPU's cache is left out, and the monotonic clock stands for its events.
DO_BENCH = f"""
import json, sys, time, torch, linbench
def do_bench(call, warmup_s=0.025, rep_s=0.1):
    call()
    start = time.perf_counter()
    for _ in range(5):
        call()
    estimate_s = (time.perf_counter() - start) / 5
    for _ in range(max(1, int(warmup_s / estimate_s))):
        call()
    samples_s = []
    for _ in range(max(1, int(rep_s / estimate_s))):
        start = time.perf_counter()
        call()
        samples_s.append(time.perf_counter() - start)
    return sum(samples_s) / len(samples_s)
found = {{}}
for name in {NAMES}:
    call, inputs = linbench.get(name), [torch.randn(1, {T}, {H}, {D}) for _ in range(3)]
    found[name] = do_bench(lambda: call(*inputs))
json.dump(found, open(sys.argv[1], "w"))
"""
PYTEST_BENCHMARK = f"""
import pytest, torch, linbench
@pytest.mark.parametrize("name", {NAMES})
def test_call(benchmark, name):
    inputs = [torch.randn(1, {T}, {H}, {D}) for _ in range(3)]
    benchmark(linbench.get(name), *inputs)
"""


def invoke(words, folder):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=folder)
    if done.returncode:
        sys.exit(f"{words} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def ours(folder):
    words = [
        "-m",
        "linbench",
        "run",
        "--T",
        T,
        "--H",
        H,
        "--D",
        D,
        "--mode",
        "fwd",
        "--impl",
        ",".join(NAMES),
    ]
    words += ["--device", "cpu", "--db", folder / "x.db", "--no-report", "--format", "json"]
    rows = [json.loads(line) for line in invoke(words, folder).splitlines()]
    return {row["implementation"]: row["median_s"] for row in rows}


def do_bench(folder):
    invoke(["-c", DO_BENCH, folder / "do_bench.json"], folder)
    return json.loads((folder / "do_bench.json").read_text())


def pytest_benchmark(folder):
    path, found = folder / "test_pytest_benchmark.py", folder / "pytest_benchmark.json"
    path.write_text(PYTEST_BENCHMARK)
    invoke(["-m", "pytest", "-q", path, "-p", "no:cacheprovider", f"--benchmark-json={found}"], folder)
    records = json.loads(found.read_text())["benchmarks"]
    return {record["params"]["name"]: record["stats"]["mean"] for record in records}


TOOLS = dict(zip([OURS, *PEERS], [ours, do_bench, pytest_benchmark], strict=True))


def spread(values):
    """Return the coefficient of variation along the last axis."""
    return np.std(values, axis=-1, ddof=1) / np.mean(values, axis=-1)


def ratio_interval(mine, theirs):
    """Return the bootstrap 95% interval of the ratio of two spreads, over rounds, each drawn whole."""
    drawn = np.random.default_rng(0).integers(len(mine), size=(DRAWS, len(mine)))
    drawn = drawn[drawn.min(axis=1) < drawn.max(axis=1)]  # one round over and over has no spread
    return np.percentile(spread(mine[drawn]) / spread(theirs[drawn]), [2.5, 97.5])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = max(2, parser.parse_args().rounds)
    order = random.Random(0)
    found = {tool: {name: [] for name in NAMES} for tool in TOOLS}
    took = {tool: [] for tool in TOOLS}
    for number in range(rounds):
        for tool in order.sample(list(TOOLS), k=len(TOOLS)):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                reported = TOOLS[tool](Path(folder))
            took[tool].append(time.perf_counter() - start)
            for name in NAMES:
                found[tool][name].append(reported[name])
            times = "  ".join(f"{name} {1e3 * reported[name]:.3f} ms" for name in NAMES)
            print(f"round {number + 1}: {tool:<22} {times}", file=sys.stderr, flush=True)

    print(f"{rounds} rounds; fwd, float32, B 1, T {T}, H {H}, K = V = {D}, cpu")
    header = ("operation", "tool", "mean ms", "CV", "CV of linbench / CV, 95%", "wall s")
    print("{:<14} {:<22} {:>9} {:>8}  {:<24} {:>7}".format(*header))
    for name in NAMES:
        mine = np.array(found[OURS][name])
        for tool in TOOLS:
            values = np.array(found[tool][name])
            compared = ""
            if tool != OURS:
                low, high = ratio_interval(mine, values)
                compared = f"{spread(mine) / spread(values):.2f} [{low:.2f}, {high:.2f}]"
            figures = f"{1e3 * values.mean():>9.3f} {spread(values):>8.2%}  {compared:<24}"
            print(f"{name:<14} {tool:<22} {figures} {np.mean(took[tool]):>7.1f}")


if __name__ == "__main__":
    main()
