"""Whether calls take the same when a profile has just been taken: turns with one and without, in pairs.

A turn times every implementation as a row does, by the same timer, in a process that lives on. Before it each
of them is profiled, by torch and for memory, or as long a wait is made; which comes first is random.

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
from linbench.execution.schedule import Job
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.heap import keep_freed
from linbench.measure.timers import timer_for
from linbench.profiling.artifact import Artifacts
from linbench.profiling.session import profile

NAMES = ["linear/chunk", "softmax/flash"]
CASE = Case(1, 512, 4, 64, 64)
WARM = 20
SAMPLES = 300


def turn(calls):
    """Return the median wall time and processor time of each implementation's calls, by name."""
    found = {}
    for name, call in calls.items():
        take = timer_for("cpu", "cpu").bind(call)
        samples = []
        for _ in range(WARM + SAMPLES):
            call.prepare()
            samples.append(take(keep=lambda _: None))
        found[f"{name} wall"] = median(one.seconds for one in samples[WARM:])
        found[f"{name} processor"] = median(one.cpu_s for one in samples[WARM:])
    return found


def told(log_ratios):
    """Return a geometric mean with its 95% interval by Student's t, over pairs."""
    middle = mean(log_ratios)
    half = student.ppf(0.975, len(log_ratios) - 1) * stdev(log_ratios) / math.sqrt(len(log_ratios))
    return f"{math.exp(middle):.3f} [{math.exp(middle - half):.3f}, {math.exp(middle + half):.3f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    order = random.Random(given.seed)
    registry.load()
    keep_freed()
    jobs, calls = [], {}
    for name in NAMES:
        implementation = registry.implementation(name)
        operator = registry.operator(implementation.operator)
        jobs.append(Job(name, operator.name, operator.complete(CASE)))
        calls[name] = Call(operator, implementation, jobs[-1].case, InputsInLayout(operator, jobs[-1].case))
    ratios, spent_s = {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(str(Path(folder) / "x.db"))
        for _ in range(given.pairs):
            found = {}
            for profiled in order.sample([True, False], 2):
                start = time.perf_counter()
                if profiled:
                    for job in jobs:
                        taken = profile(registry, job, "all", timeout_s=120.0, artifacts=artifacts)
                        assert taken.status == "ok", taken.reason
                    spent_s = time.perf_counter() - start
                else:
                    time.sleep(spent_s)
                found[profiled] = turn(calls)
            for name, without in found[False].items():
                ratios.setdefault(name, []).append(math.log(found[True][name] / without))
            last = ", ".join(f"{name} {math.exp(values[-1]):.3f}" for name, values in ratios.items())
            print(f"{spent_s:.1f} s  {last}", flush=True)
    for name, values in ratios.items():
        print(f"{name:<26} with profiles over without: {told(values)} ({given.pairs} pairs)")


if __name__ == "__main__":
    main()
