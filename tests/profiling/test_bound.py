"""A profile is bound in memory and in time as a run is: what goes beyond ends with its worker."""

from pathlib import Path

import pytest
from timeouts import timeout_s

from linbench.core.case import Case
from linbench.core.measurement import Status
from linbench.execution.schedule import Job
from linbench.profiling import single
from linbench.profiling.artifact import Artifacts
from linbench.profiling.session import profile

HUNGRY = str(Path(__file__).with_name("hungry.py"))
BOUND_BYTES = 3 * 2**30  # torch alone holds up to 1 GiB


@pytest.fixture
def profiled(loaded, tmp_path, monkeypatch):
    loaded.load([HUNGRY])
    monkeypatch.setattr(single, "safe_memory_bytes", lambda: BOUND_BYTES)

    def of(name, timeout):
        case = loaded.operator("linear").complete(Case(1, 16, 1, 4, 4))
        job = Job(f"linear/{name}", "linear", case)
        artifacts = Artifacts(str(tmp_path))
        return profile(loaded, job, "memory", plugins=[HUNGRY], timeout_s=timeout, artifacts=artifacts)

    return of


def test_an_implementation_that_eats_memory_is_ended_and_its_profile_is_oom(profiled):
    found = profiled("hungry", timeout_s(60))
    assert found.status is Status.OOM, found.reason
    assert "of memory; the limit is 3 GiB" in found.reason
    assert (found.breakdown, found.memory, found.artifacts) == (None, {}, {})


def test_one_that_does_not_is_profiled_under_the_same_bound(profiled):
    found = profiled("sated", timeout_s(60))
    assert found.status is Status.OK, found.reason
    assert sum(found.memory.values()) > 0
    assert found.artifacts.keys() == {"memory"}


def test_one_that_takes_too_long_is_a_timeout(profiled):
    found = profiled("hungry", 0.1)
    assert (found.status, found.reason) == (Status.TIMEOUT, "not done within 0.1 s (--timeout)")
