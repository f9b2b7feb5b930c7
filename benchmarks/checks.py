"""The share of a run's time that the verification of results adds, per implementation and case.

One process makes the calls of a full check and of the turns of a process, as a worker does: the first call, a
repeat on the same inputs, a call with other inputs, the warm-up, and turns of calls whose last result is
verified. The reference is computed once, outside of it. The time without verification is the wall time less
that of the checks, which are timed one by one, so that both are of the same calls; the ratio is the median
over the rounds. The columns after it are medians per check: after the first call, of a repeat, of a call with
other inputs (each with its call) and after a turn.

To compare two versions of the rules, compare their ratios on the same machine.

Run: python benchmarks/checks.py
"""

import argparse
import time
from statistics import median

import torch

from linbench.cli.text import columns
from linbench.core.case import Case
from linbench.core.registry import registry
from linbench.execution.prepared import PreparedCase, Verification
from linbench.measure.call import Call
from linbench.measure.hygiene import copy_result
from linbench.measure.sampling import take_turn, warm_up
from linbench.measure.timers import CpuTimer

IMPLEMENTATIONS = ("linear/chunk", "softmax/flash", "gla/chunk")
LENGTHS = (128, 1024, 4096)
DTYPES = ("float32", "bfloat16")
TURNS = 2  # rounds per process
TURN_S = 0.05  # of the default least time of 0.5 s: 5 processes of 2 rounds
MAX_SAMPLES = 200
MAX_WARM_UP_S = 1.0
KINDS = ("first", "repeat", "other", "turn")
HEADER = ("IMPLEMENTATION", "DTYPE", "T", "WITH/WITHOUT", "WITHOUT", *map(str.upper, KINDS), "WRONG")


class Checks:
    """Makes the checks of a call and keeps the time of each, in seconds, by kind."""

    def __init__(self, call, prepared):
        self.call = call
        self.prepared = prepared
        self.seconds = {kind: [] for kind in KINDS}
        self.reasons = []

    def run(self, kind, check):
        """Make a check, and keep its time and the reason of a wrong result."""
        start = time.perf_counter()
        result = check()
        self.seconds[kind].append(time.perf_counter() - start)
        if isinstance(result, Verification) and result.reason is not None:
            self.reasons.append(result.reason)

    def is_identical(self, first):
        """Return whether a repeat of the first call has the same result."""
        self.call.prepare()
        return self.prepared.is_identical(self.call, first, copy_result(self.call()))

    def process(self):
        """Make the calls and checks of a process."""
        call, prepared, timer = self.call, self.prepared, CpuTimer()
        call.prepare()
        first = copy_result(call())
        self.run("first", lambda: prepared.verify_by_position(call, first))
        self.run("repeat", lambda: self.is_identical(first))
        self.run("other", lambda: prepared.verify_other_inputs(call))
        call_s = warm_up(call, timer, MAX_WARM_UP_S)
        for _ in range(TURNS):
            _, last = take_turn(call, timer, TURN_S, MAX_SAMPLES, call_s)
            self.run("turn", lambda last=last: prepared.verify(call, last))


def measure(name, case, rounds):
    """Return the cells of an implementation at a case."""
    implementation = registry.implementation(name)
    operator = registry.operator(implementation.operator)
    case = operator.complete(case)
    prepared = PreparedCase(operator, case, None)
    call = Call(operator, implementation, case, prepared.in_layout)
    Checks(call, prepared).process()  # warm-up
    ratios, rests, seconds, reasons = [], [], {kind: [] for kind in KINDS}, []
    for _ in range(rounds):
        checks = Checks(call, prepared)
        start = time.perf_counter()
        checks.process()
        total_s = time.perf_counter() - start
        rests.append(total_s - sum(map(sum, checks.seconds.values())))
        ratios.append(total_s / rests[-1])
        reasons += checks.reasons
        for kind in KINDS:
            seconds[kind] += checks.seconds[kind]
    figures = [f"{1e3 * median(seconds[kind]):.2f} ms" for kind in KINDS]
    return [f"{median(ratios):.3f}", f"{1e3 * median(rests):.0f} ms", *figures, next(iter(reasons), "")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="Rounds per case.")
    parser.add_argument("--mode", default="fwd", help="Mode of the cases.")
    parser.add_argument("--threads", type=int, default=1, help="Threads of torch.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    registry.load()
    rows = []
    for name in IMPLEMENTATIONS:
        for dtype in DTYPES:
            for length in LENGTHS:
                case = Case(1, length, 4, 64, 64, dtype, arguments.mode, "cpu")
                rows.append([name, dtype, f"{length:,}", *measure(name, case, arguments.rounds)])
    print("\n".join(columns(HEADER, rows)))


if __name__ == "__main__":
    main()
