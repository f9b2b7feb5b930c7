"""Spread of the reported time over invocations: linbench, a do_bench-style mean and pytest-benchmark.

Each invocation measures both operations in a fresh process (or several, if the tool starts them). In every
round each tool is invoked once, in random order, so that drift affects all tools equally.

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
LINBENCH = "linbench run"
OTHER_TOOLS = ["do_bench-style mean", "pytest-benchmark mean"]

# The method of triton.testing.do_bench on the CPU: five calls are timed together for an estimate, then
# calls for 25 ms warm up and calls for 100 ms are timed one by one; their mean is reported. Triton's flush of
# the GPU cache is omitted, and the monotonic clock replaces its events.
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
means_s = {{}}
for name in {NAMES}:
    call, inputs = linbench.get(name), [torch.randn(1, {T}, {H}, {D}) for _ in range(3)]
    means_s[name] = do_bench(lambda: call(*inputs))
json.dump(means_s, open(sys.argv[1], "w"))
"""
PYTEST_BENCHMARK = f"""
import pytest, torch, linbench
@pytest.mark.parametrize("name", {NAMES})
def test_call(benchmark, name):
    inputs = [torch.randn(1, {T}, {H}, {D}) for _ in range(3)]
    benchmark(linbench.get(name), *inputs)
"""


def invoke(arguments, folder):
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if process.returncode:
        sys.exit(f"{arguments} exited with {process.returncode}:\n{process.stdout}{process.stderr}")
    return process.stdout


def linbench_run(folder):
    arguments = [
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
    arguments += ["--device", "cpu", "--db", folder / "x.db", "--no-report", "--format", "json"]
    rows = [json.loads(line) for line in invoke(arguments, folder).splitlines()]
    return {row["implementation"]: row["median_s"] for row in rows}


def do_bench(folder):
    invoke(["-c", DO_BENCH, folder / "do_bench.json"], folder)
    return json.loads((folder / "do_bench.json").read_text())


def pytest_benchmark(folder):
    path, output = folder / "test_pytest_benchmark.py", folder / "pytest_benchmark.json"
    path.write_text(PYTEST_BENCHMARK)
    invoke(["-m", "pytest", "-q", path, "-p", "no:cacheprovider", f"--benchmark-json={output}"], folder)
    records = json.loads(output.read_text())["benchmarks"]
    return {record["params"]["name"]: record["stats"]["mean"] for record in records}


TOOLS = dict(zip([LINBENCH, *OTHER_TOOLS], [linbench_run, do_bench, pytest_benchmark], strict=True))


def spread(values):
    """Return the coefficient of variation along the last axis."""
    return np.std(values, axis=-1, ddof=1) / np.mean(values, axis=-1)


def ratio_interval(a, b):
    """Return the bootstrap 95% interval of the ratio of two spreads; whole rounds are resampled."""
    indices = np.random.default_rng(0).integers(len(a), size=(DRAWS, len(a)))
    indices = indices[indices.min(axis=1) < indices.max(axis=1)]  # a single repeated round has no spread
    return np.percentile(spread(a[indices]) / spread(b[indices]), [2.5, 97.5])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = max(2, parser.parse_args().rounds)
    order = random.Random(0)
    times_s = {tool: {name: [] for name in NAMES} for tool in TOOLS}
    durations_s = {tool: [] for tool in TOOLS}
    for number in range(rounds):
        for tool in order.sample(list(TOOLS), k=len(TOOLS)):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                result_s = TOOLS[tool](Path(folder))
            durations_s[tool].append(time.perf_counter() - start)
            for name in NAMES:
                times_s[tool][name].append(result_s[name])
            text = "  ".join(f"{name} {1e3 * result_s[name]:.3f} ms" for name in NAMES)
            print(f"round {number + 1}: {tool:<22} {text}", file=sys.stderr, flush=True)

    print(f"{rounds} rounds; fwd, float32, B 1, T {T}, H {H}, K = V = {D}, cpu")
    header = ("operation", "tool", "mean ms", "CV", "CV of linbench / CV, 95%", "wall s")
    print("{:<14} {:<22} {:>9} {:>8}  {:<24} {:>7}".format(*header))
    for name in NAMES:
        linbench_s = np.array(times_s[LINBENCH][name])
        for tool in TOOLS:
            tool_s = np.array(times_s[tool][name])
            ratio = ""
            if tool != LINBENCH:
                low, high = ratio_interval(linbench_s, tool_s)
                ratio = f"{spread(linbench_s) / spread(tool_s):.2f} [{low:.2f}, {high:.2f}]"
            figures = f"{1e3 * tool_s.mean():>9.3f} {spread(tool_s):>8.2%}  {ratio:<24}"
            print(f"{name:<14} {tool:<22} {figures} {np.mean(durations_s[tool]):>7.1f}")


if __name__ == "__main__":
    main()
