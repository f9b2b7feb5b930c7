"""A profile has limits on memory and time, as a run has: the worker ends when it exceeds one."""

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
def profile_plugin(loaded, tmp_path, monkeypatch):
    loaded.load([HUNGRY])
    monkeypatch.setattr(single, "safe_memory_bytes", lambda: BOUND_BYTES)

    def run(name, timeout):
        case = loaded.operator("linear").complete(Case(1, 16, 1, 4, 4))
        job = Job(f"linear/{name}", "linear", case)
        artifacts = Artifacts(str(tmp_path))
        return profile(loaded, job, "memory", plugins=[HUNGRY], timeout_s=timeout, artifacts=artifacts)

    return run


def test_an_implementation_above_the_memory_limit_is_stopped_and_its_profile_is_oom(profile_plugin):
    result = profile_plugin("hungry", timeout_s(60))
    assert result.status is Status.OOM, result.reason
    assert "of memory; the limit is 3 GiB" in result.reason
    assert (result.breakdown, result.memory, result.artifacts) == (None, {}, {})


def test_an_implementation_below_the_memory_limit_is_profiled(profile_plugin):
    result = profile_plugin("sated", timeout_s(60))
    assert result.status is Status.OK, result.reason
    assert sum(result.memory.values()) > 0
    assert result.artifacts.keys() == {"memory"}


def test_an_implementation_above_the_time_limit_is_a_timeout(profile_plugin):
    result = profile_plugin("hungry", 0.1)
    assert (result.status, result.reason) == (Status.TIMEOUT, "not done within 0.1 s (--timeout)")
