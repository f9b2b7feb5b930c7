"""The same code on two sides, on real workers."""

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
def test_identical_code_takes_the_same_memory_errs_the_same_and_is_as_fast(loaded, launches):
    job = Job("linear/naive", "linear", loaded.operator("linear").complete(Case(1, 16, 1, 8, 8)))
    comparison = Comparison(job, job)
    with Turns(launches, "cpu", Settings(timer="cpu")) as turns:
        a, b = turns.full_check(comparison)
        assert a.status == b.status == "ok"
        assert a.errors == b.errors
        assert a.memory == b.memory
        middles = []
        for rounds in islice(turns.processes(comparison, (a, b)), 10):
            assert 12 <= len(rounds.log_ratios) <= 40
            assert len(rounds.a_s) == len(rounds.b_s) == 2 * len(rounds.log_ratios)
            middles.append(median(rounds.log_ratios))
            if len(middles) > 1 and abs(median(middles)) < 0.3:
                break
        # What a calm machine tells apart is for the self-test.
        assert abs(median(middles)) < 0.3, middles
