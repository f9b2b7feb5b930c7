"""The same code on both sides, with real workers."""

from itertools import islice
from statistics import median

import pytest

from linbench.compare.turns import Comparison, Turns
from linbench.core.case import Case
from linbench.core.plan import Settings
from linbench.execution.process import Launch
from linbench.execution.schedule import Job

PLAIN = Launch((), 4 * 2**30)


@pytest.mark.parametrize("launches", [[PLAIN], [PLAIN, PLAIN]], ids=["one process", "a worker each"])
def test_identical_code_has_the_same_memory_error_and_time(loaded, launches):
    job = Job("linear/naive", "linear", loaded.operator("linear").complete(Case(1, 16, 1, 8, 8)))
    comparison = Comparison(job, job)
    with Turns(launches, "cpu", Settings(timer="cpu")) as turns:
        a, b = turns.full_check(comparison)
        assert a.status == b.status == "ok"
        assert a.errors == b.errors
        assert a.memory == b.memory
        medians = []
        for rounds in islice(turns.processes(comparison, (a, b)), 10):
            assert 12 <= len(rounds.log_ratios) <= 40
            assert len(rounds.a_s) == len(rounds.b_s) == 2 * len(rounds.log_ratios)
            medians.append(median(rounds.log_ratios))
            if len(medians) > 1 and abs(median(medians)) < 0.3:
                break
        # The self-test measures the resolution of a calm machine.
        assert abs(median(medians)) < 0.3, medians
