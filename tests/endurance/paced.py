"""`linbench` with a fake runner: it measures one case per line on stdin, and the rest at end of file.

PACED is a JSON object with further changes: busy_timeout_ms; and clock, a start time from which each call of
the clock returns a time that is one minute earlier.
"""

import json
import os
import sys
from datetime import datetime, timedelta

import linbench.execution.trial
import linbench.store.database
import linbench.store.store
from linbench import api
from linbench.cli import main
from linbench.core.measurement import Measurement, Status, Time
from linbench.core.samples import Samples


class PacedRunner:
    def __init__(self, registry, schedule, *rest):
        del registry, rest
        self._groups = schedule.groups

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def measure(self):
        for group in self._groups:
            sys.stdin.readline()
            yield [row(job) for job in group]


def row(job):
    time = Time("cpu", 2.0, 1.0, 3.0, (2, 1), samples=Samples((1.0, 2.0, 3.0)))
    return Measurement(job.operator, job.implementation, job.case, Status.OK, time=time)


class BackwardClock(datetime):
    moment = datetime.max

    @classmethod
    def now(cls, tz=None):
        BackwardClock.moment -= timedelta(minutes=1)
        return cls.moment.replace(tzinfo=tz)


if __name__ == "__main__":
    settings = json.loads(os.environ.get("PACED", "{}"))
    api.Runner = PacedRunner
    if "busy_timeout_ms" in settings:
        linbench.store.database.BUSY_TIMEOUT_MS = settings["busy_timeout_ms"]
    if "clock" in settings:
        BackwardClock.moment = datetime.fromisoformat(settings["clock"])
        linbench.store.store.datetime = linbench.execution.trial.datetime = BackwardClock
    main()
