"""Whether a profile affects the calls after it: pairs of turns, one after a profile and one without.

A turn times every implementation with the timer of a row, always in the same process. Before the turn, each
implementation is profiled (by torch and for memory) or the process waits for the same time, in random order.

Run: OMP_NUM_THREADS=1 python benchmarks/profiled.py --pairs 12
"""

import argparse
import math
import random
import tempfile
import time
from pathlib import Path
from statistics import mean, median, stdev

from scipy.stats import t as student

from linbench.core.case import Case
from linbench.core.registry import registry
from linbench.core.samples import Samples
from linbench.execution.schedule import Job
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.heap import keep_freed
from linbench.measure.timers import timer_for
from linbench.profiling.artifact import Artifacts
from linbench.profiling.session import profile

NAMES = ["linear/chunk", "softmax/flash"]
CASE = Case(1, 512, 4, 64, 64)
WARM_UP = 20
SAMPLES = 300


def turn(calls):
    """Return the median wall time and processor time of each implementation's calls, by name."""
    medians_s = {}
    for name, call in calls.items():
        sampler = timer_for("cpu", "cpu").bind(call)
        parts = []
        for _ in range(WARM_UP + SAMPLES):
            call.prepare()
            samples, _ = sampler(keep=lambda _: None)
            parts.append(samples)
        samples = Samples.joined(parts[WARM_UP:])
        medians_s[f"{name} wall"] = median(samples.time_s)
        medians_s[f"{name} processor"] = median(samples.cpu_s)
    return medians_s


def format_mean(log_ratios):
    """Return the geometric mean of ratios with its 95% interval by Student's t, as text."""
    middle = mean(log_ratios)
    half = student.ppf(0.975, len(log_ratios) - 1) * stdev(log_ratios) / math.sqrt(len(log_ratios))
    return f"{math.exp(middle):.3f} [{math.exp(middle - half):.3f}, {math.exp(middle + half):.3f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    order = random.Random(arguments.seed)
    registry.load()
    keep_freed()
    jobs, calls = [], {}
    for name in NAMES:
        implementation = registry.implementation(name)
        operator = registry.operator(implementation.operator)
        jobs.append(Job(name, operator.name, operator.complete(CASE)))
        calls[name] = Call(operator, implementation, jobs[-1].case, InputsInLayout(operator, jobs[-1].case))
    log_ratios, profiling_s = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(str(Path(folder) / "x.db"))
        for _ in range(arguments.pairs):
            medians_s = {}
            for with_profile in order.sample([True, False], 2):
                start = time.perf_counter()
                if with_profile:
                    for job in jobs:
                        result = profile(registry, job, "all", timeout_s=120.0, artifacts=artifacts)
                        assert result.status == "ok", result.reason
                    profiling_s = time.perf_counter() - start
                else:
                    time.sleep(profiling_s)
                medians_s[with_profile] = turn(calls)
            for name, without_s in medians_s[False].items():
                log_ratios.setdefault(name, []).append(math.log(medians_s[True][name] / without_s))
            latest = ", ".join(f"{name} {math.exp(values[-1]):.3f}" for name, values in log_ratios.items())
            print(f"{profiling_s:.1f} s  {latest}", flush=True)
    for name, values in log_ratios.items():
        print(f"{name:<26} with profile / without: {format_mean(values)} ({arguments.pairs} pairs)")


if __name__ == "__main__":
    main()
