"""How much of the wall time a profile accounts for: every implementation on this CPU, in every mode.

Each is profiled in a small case several times. What else runs on the machine falls between two ranges now and
then: the best is what a profile can do, the median what one may expect.

Run: TORCHINDUCTOR_CPP_ENABLE_KERNEL_PROFILE=1 OMP_NUM_THREADS=1 python benchmarks/accounted.py [NAME ...]
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from linbench.core.case import MODES, Case
from linbench.core.registry import registry
from linbench.measure.call import Call, InputsInLayout
from linbench.profiling import plain
from linbench.profiling.foreign import range_foreign_calls
from linbench.profiling.torch_profiler import profile_call

OURS = "linbench_impls"
TIMES = 3
PROFILED_S = 0.02
TOKENS = 128
FEW_TOKENS = 16  # for forms that make some calls a token
ENOUGH = 0.95


def cases(names):
    """Yield each implementation that runs here with each of its cases."""
    for implementation in registry.implementations():
        if implementation.name not in names if names else OURS not in implementation.origin:
            continue
        operator = registry.operator(implementation.operator)
        tokens = FEW_TOKENS if implementation.name.endswith("/recurrent") else TOKENS
        for mode in MODES:
            case = Case(1, tokens, 2, 32, 32, mode=mode)
            if (
                operator.unsupported_reason(case) is None
                and implementation.unsupported_reason(operator, case) is None
            ):
                yield operator, implementation, operator.complete(case)


def main():
    range_foreign_calls()
    registry.load()
    plain.PROFILED_S = PROFILED_S
    best = []
    with tempfile.TemporaryDirectory() as folder:
        for operator, implementation, case in cases(sys.argv[1:]):
            call = Call(operator, implementation, case, InputsInLayout(operator, case))
            found = [profile_call(call, Path(folder) / "trace.json") for _ in range(TIMES)]
            shares = [one.accounted for one in found]
            best.append((max(shares), implementation.name, case.mode))
            wall_s = median(one.wall_s for one in found)
            print(
                f"{implementation.name:<28} {case.mode:<8} {1e6 * wall_s:>9.0f} µs  "
                f"best {max(shares):.1%}  median {median(shares):.1%}  worst {min(shares):.1%}",
                flush=True,
            )
    print(f"{len(best)} of them; the least: {min(best)[0]:.1%} ({' '.join(min(best)[1:])})")
    for share, *what in sorted(best):
        if share < ENOUGH:
            print(f"below {ENOUGH:.0%}: {' '.join(what)} {share:.1%}")


if __name__ == "__main__":
    main()
