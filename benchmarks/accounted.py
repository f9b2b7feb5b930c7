"""Share of the wall time that a profile accounts for, for every implementation on this CPU in every mode.

Each implementation is profiled several times at a small case. Other processes sometimes run between two
ranges of a profile: the best share is the limit of the profiler, the median is the typical share.

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

PACKAGE = "linbench_impls"
REPEATS = 3
PROFILED_S = 0.02
TOKENS = 128
FEW_TOKENS = 16  # for forms with several calls per token
TARGET = 0.95


def cases(names):
    """Yield each implementation that supports this CPU, with each of its cases."""
    for implementation in registry.implementations():
        if implementation.name not in names if names else PACKAGE not in implementation.origin:
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
            profiles = [profile_call(call, Path(folder) / "trace.json") for _ in range(REPEATS)]
            shares = [profile.accounted for profile in profiles]
            best.append((max(shares), implementation.name, case.mode))
            wall_s = median(profile.wall_s for profile in profiles)
            print(
                f"{implementation.name:<28} {case.mode:<8} {1e6 * wall_s:>9.0f} µs  "
                f"best {max(shares):.1%}  median {median(shares):.1%}  worst {min(shares):.1%}",
                flush=True,
            )
    print(f"{len(best)} profiles; lowest best share: {min(best)[0]:.1%} ({' '.join(min(best)[1:])})")
    for share, *labels in sorted(best):
        if share < TARGET:
            print(f"below {TARGET:.0%}: {' '.join(labels)} {share:.1%}")


if __name__ == "__main__":
    main()
