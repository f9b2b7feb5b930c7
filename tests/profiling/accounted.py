"""Profiles implementations until their wall time is accounted for; test_profile.py runs it in a process.

Other load on the machine can delay a call between two ranges, so each case is profiled up to ten times.
For each case it prints the implementation, the mode, the number of profiles and the phases.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from linbench.core.case import MODES, Case
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.profiling import plain
from linbench.profiling.torch_profiler import profile_call

MOST_PROFILES = 10
ENOUGH, TOO_MUCH = 0.95, 1.01


def cases_of(implementation):
    """Return the cases that an implementation supports on this machine, one per mode."""
    operator = registry.operator(implementation.operator)
    tokens = 16 if implementation.name.endswith("/recurrent") else 128  # it makes several calls per token
    cases = (operator.complete(Case(1, tokens, 2, 32, 32, mode=mode)) for mode in MODES)
    return [case for case in cases if implementation.unsupported_reason(operator, case) is None]


def call_of(implementation, case):
    operator = registry.operator(implementation.operator)
    return Call(operator, implementation, case, InputsInLayout(operator, case))


def main(names):
    registry.load()
    plain.PROFILED_S = 0.01
    with TemporaryDirectory() as folder:
        for implementation in map(registry.implementation, names):
            for case in cases_of(implementation):
                shares = []
                while len(shares) < MOST_PROFILES and not ENOUGH <= max(shares, default=0.0) <= TOO_MUCH:
                    breakdown = profile_call(call_of(implementation, case), Path(folder) / "trace.json")
                    shares.append(breakdown.accounted)
                if not ENOUGH <= max(shares) <= TOO_MUCH:
                    sys.exit(f"{implementation.name} {case.mode}: the lines account for {shares}")
                phases = ",".join(sorted({line.phase for line in breakdown.lines}))
                print(implementation.name, case.mode, len(shares), phases)


if __name__ == "__main__":
    main(sys.argv[1:])
