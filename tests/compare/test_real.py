"""The same code on two sides, on real workers."""

from itertools import islice

import pytest

from linbench.compare.turns import Comparison, Turns
from linbench.core.case import Case
from linbench.core.plan import Settings
from linbench.execution.process import Launch
from linbench.execution.schedule import Job

PLAIN = Launch((), 4 * 2**30)


@pytest.mark.serial  # it compares real times
@pytest.mark.parametrize("launches", [[PLAIN], [PLAIN, PLAIN]], ids=["one process", "a worker each"])
def test_identical_code_weighs_the_same_errs_the_same_and_is_as_fast(loaded, launches):
    job = Job("linear/naive", "linear", loaded.operator("linear").complete(Case(1, 16, 1, 8, 8)))
    comparison = Comparison(job, job)
    with Turns(launches, "cpu", Settings(timer="cpu")) as turns:
        a, b = turns.study(comparison)
        assert a.status == b.status == "ok"
        assert a.errors == b.errors
        assert a.memory == b.memory
        for rounds in islice(turns.processes(comparison, (a, b)), 2):
            assert 12 <= len(rounds.log_ratios) <= 40
            assert len(rounds.a_s) == len(rounds.b_s) == 2 * len(rounds.log_ratios)
            middle = sorted(rounds.log_ratios)[len(rounds.log_ratios) // 2]
            assert abs(middle) < 0.3  # a busy machine; what is told apart on a calm one is for the self-test
