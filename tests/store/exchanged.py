"""A run with every kind of row and a realistic environment and plan."""

from dataclasses import replace

from test_store import full_row, ok_row

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling, Ceilings
from linbench.core.environment import Environment, Host
from linbench.core.gpu import Gpu
from linbench.core.grid import Axes, Grid
from linbench.core.measurement import Measurement, Status, TensorError
from linbench.core.plan import Plan, Settings
from linbench.core.provenance import Code
from linbench.core.run import Run
from linbench.core.work import Work

CEILING = Ceiling("copy.L2", "cpu", 2, "B/s", 3e10, 2e10, 1e10, "a copy", 2**21)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENVIRONMENT = Environment(
    Host("A CPU", 2, 2**34, "Linux 6", "3.11.7"),
    (Gpu("A GPU", "GPU-1", 2**36, "580.1"),),
    {"linbench": "0.1.0", "torch": "2.13.0"},
    Code("linbench", "0.1.0", COMMIT, False),
    (Code("mine", None, COMMIT, False, ("linear/chunk",)),),
    {"OMP_NUM_THREADS": "2"},
    Ceilings("2026-11-22T14:00:00+00:00", (CEILING,)),
)
PLAN = Plan(
    Grid("axes", axes=Axes(T=[64])),
    "cpu",
    ("linear/chunk",),
    (),
    Settings("cpu", processes=2),
    ("linbench", "run"),
)


def failed(status, T, reason="it failed", **more):
    return Measurement("linear", "linear/chunk", Case(1, T, 2, 16, 16), status, reason, **more)


def rows():
    useful_only = Work(1e6, None, 2**12)
    once = replace(ok_row(), time=None, memory=None, work=useful_only, case=Case(1, 32, 2, 16, 16))
    seeded = replace(ok_row(median=4.0), case=replace(ok_row().case, seed=7))
    full = replace(full_row(), case=Case(1, 1024, 2, 16, 16))
    wrong = failed(Status.WRONG, 512, "o is off", errors={"o": TensorError(1.0, 2.0, 3.0, 0.0, 3, 1e-5)})
    failures = [status for status in Status if status not in (Status.OK, Status.WRONG)]
    return (
        ok_row(), seeded, full, once, wrong,
        *(failed(status, 2000 + place) for place, status in enumerate(failures)),
        failed(Status.ERROR, 4096, "=HYPERLINK(\"x\") it's «bad»\nsecond line"),
    )  # fmt: skip


RUN = Run(
    "20261122-143000-1a2b",
    "2026-11-22T14:30:00+00:00",
    "2026-11-22T14:40:00+00:00",
    ENVIRONMENT,
    PLAN,
    rows(),
)
