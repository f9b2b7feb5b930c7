"""Synthetic rows and runs for tests; every figure is a known function of its case."""

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling, Ceilings
from linbench.core.environment import Environment, Host
from linbench.core.grid import Axes, Grid
from linbench.core.measurement import Measurement, Memory, Status, TensorError, Time
from linbench.core.plan import Plan, Settings
from linbench.core.provenance import Code
from linbench.core.run import Run
from linbench.store.table import frame

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def code(*names, commit=COMMIT, dirty=False):
    """The code of the synthetic implementations."""
    return Code("linbench", "0.1.0", commit, dirty, names)


ENVIRONMENT = Environment(
    host=Host("Synthetic CPU @ 2.10 GHz", 2, 16 * 2**30, "Linux 6.1", "3.11.2"),
    gpus=(),
    libraries={"linbench": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0"},
    harness=code(),
    code=(code("a/x", "a/quadratic", "b/linear", "linear/chunk", "softmax/flash"),),
    variables={"OMP_NUM_THREADS": "2"},
)


BARE = Environment(Host("A", 2, 2**34, "Linux", "3.11"), (), {}, Code("linbench"))
BARE_PLAN = Plan(Grid("axes"), "cpu")


def _ceiling(name, best, unit="B/s", holds_bytes=None):
    return Ceiling(name, "cpu", 1, unit, best, best, best, "made up", holds_bytes)


CEILINGS = Ceilings(
    "2026-11-22T14:00:00+00:00",
    (
        _ceiling("copy.L2", 1e11, holds_bytes=10**6),
        _ceiling("copy.memory", 1e10),
        _ceiling("matmul.float32", 5e10, "FLOP/s"),
    ),
)
PLAN = Plan(
    Grid(
        "long-seq",
        "How cost grows with length.",
        Axes(T=list(LENGTHS), B=[1], H=[4], D=[64], mode=["fwd", "fwd_bwd", "decode"]),
        {"cpu": Axes(dtype=["float32"])},
    ),
    "cpu",
    ("linear/chunk", "softmax/flash"),
    settings=Settings(processes=1, timeout_s=60.0),
    command=("linbench", "run", "--grid", "long-seq", "--device", "cpu"),
)

# Seconds of a forward pass: a constant, a factor per token, and a factor per pair of tokens.
COSTS = {
    "linear/chunk": (3e-4, 1.6e-6, 0.0),
    "linear/cuda": None,
    "linear/naive": (2e-4, 4e-7, 1.5e-9),
    "linear/recurrent": (1e-4, 3e-5, 0.0),
    "linear/triton": None,
    "softmax/efficient": (9e-5, 4e-7, 6.5e-10),
    "softmax/flash": (8e-5, 3e-7, 5e-10),
    "softmax/math": (1e-4, 4e-7, 2.2e-9),
    "softmax/naive": (1e-4, 4e-7, 2e-9),
}
FACTOR = {"fwd": 1.0, "fwd_bwd": 3.1, "decode": 0.01}
TENSORS = {"fwd": ("o",), "fwd_bwd": ("o", "dq", "dk", "dv"), "decode": ("o", "S")}


def time(median_s, spread=0.01, n=40, timer="cpu"):
    return Time(timer, median_s, median_s * (1 - spread), median_s * (1 + spread), (n,))


def error(rel_l2=3e-7, tolerance=2e-6, nonfinite=0):
    return TensorError(rel_l2, rel_l2 * 4, rel_l2 * 30, 1 - rel_l2, nonfinite, tolerance)


def row(
    name, median_s=1e-3, *, status=Status.OK, reason=None, cause=None, spread=0.01, extra=2**20, n=40, **case
):
    shape = {"B": 1, "T": 1024, "H": 4, "K": 64, "V": 64} | case
    ok = status is Status.OK
    return Measurement(
        operator=name.split("/")[0],
        implementation=name,
        case=Case(**shape),
        status=status,
        reason=reason if ok else reason or f"it ended {status}",
        cause=cause,
        time=time(median_s, spread, n) if ok else None,
        memory=Memory(extra + 2**20, extra, "allocator") if ok else None,
        errors={"o": error()} if ok else {},
    )


def run_of(rows, plan=PLAN, environment=ENVIRONMENT, finished_at="2026-11-22T14:41:09Z"):
    return Run("20261122-143000-1a2b", "2026-11-22T14:30:00Z", finished_at, environment, plan, tuple(rows))


def table(rows):
    """The rows as the frame that `linbench.load` returns."""
    return frame([run_of(rows)])


def sweep(name, cost, xs=LENGTHS, **settings):
    return [row(name, cost(x), T=x, **settings) for x in xs]


def quadratic_and_linear():
    """Two costs, 1e-9 T^2 and 2.5e-6 T, that are equal at T = 2,500."""
    return sweep("a/quadratic", lambda x: 1e-9 * x**2) + sweep("b/linear", lambda x: 2.5e-6 * x)


def realistic():
    """A CPU sweep of nine implementations with every status except crashed."""
    return run_of(
        _realistic_row(name, Case(1, seqlen, 4, 64, 64, "float32", mode, "cpu"))
        for mode in FACTOR
        for seqlen in LENGTHS
        for name in COSTS
    )


def _realistic_row(name, case):
    operator = name.split("/")[0]
    cost = COSTS[name]
    quadratic = name.endswith(("naive", "math"))
    ending = None
    if cost is None:
        ending = (Status.UNSUPPORTED, "needs a CUDA device; this case is on the cpu")
    elif quadratic and case.T >= 32768 and case.mode == "fwd_bwd":
        ending = (Status.OOM, "RuntimeError: DefaultCPUAllocator: not enough memory")
    elif quadratic and case.T >= 32768 and case.mode == "fwd":
        ending = (Status.SKIPPED, "predicted 17.2 GiB, the worker may use 8.0 GiB")
    elif name == "linear/recurrent" and case.T >= 16384 and case.mode != "decode":
        ending = (Status.TIMEOUT, "no answer within 60 s")
    if ending:
        return Measurement(operator, name, case, *ending)

    errors = {tensor: error(2e-7 * (case.T / 512) ** 0.2, 2e-6) for tensor in TENSORS[case.mode]}
    if name == "softmax/efficient" and case.mode == "fwd_bwd" and case.T == 8192:
        errors["dk"] = error(4e-4)
        return Measurement(
            operator, name, case, Status.WRONG, "dk: rel_l2 4.0e-04 is above 2.0e-06", errors=errors
        )
    fixed, token, pair = cost
    decoding = case.mode == "decode"
    tokens = 1 if decoding and operator == "linear" else case.T
    seconds = FACTOR[case.mode] * (fixed + token * tokens + (0.0 if decoding else pair * tokens**2))
    square = 4 * case.H * case.T**2 if quadratic and not decoding else 0
    extra = square + 4 * case.H * (1 if decoding else case.T) * case.V
    noisy = name == "linear/naive" and case.T == 512
    return Measurement(
        operator,
        name,
        case,
        Status.OK,
        time=time(seconds, 0.15 if noisy else 0.008),
        memory=Memory(extra + 12 * case.H * case.T * case.K, extra, "allocator"),
        errors=errors,
        first_call_s=seconds * 3,
        flags=("contended",) if noisy else (),
        measured_at="2026-11-22T14:31:00Z",
    )
