"""A process that writes to a store until it is killed, without workers."""

from itertools import count

from synthetic import BARE, BARE_PLAN

from linbench.core.case import Case
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.samples import Samples
from linbench.store.store import Store

NAMES = ("linear/a", "linear/b", "linear/c")


def rows(T):
    """Return the rows of one case."""
    time = Time("cpu", 2.0, 1.0, 3.0, (20, 10), samples=Samples((1.0, 2.0, 3.0) * 10))
    case = Case(1, T, 2, 16, 16)
    return [Measurement("linear", name, case, Status.OK, time=time) for name in NAMES]


def write(path, acknowledged):
    """Begin a run (case 0) and append one case after another; acknowledge each when it is stored."""
    store = Store(path, write=True)
    run = store.begin(BARE, BARE_PLAN).id
    acknowledged.send((run, 0))
    for T in count(1):
        store.append(run, rows(T))
        acknowledged.send((run, T))
