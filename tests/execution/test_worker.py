"""Unit tests of the pipe and of the worker."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from linbench import Case
from linbench.core.implementation import needs
from linbench.core.measurement import Cause, Status
from linbench.core.registry import registry
from linbench.core.work import Work
from linbench.execution.messages import (
    Check,
    CheckOnce,
    CheckSupport,
    CheckTurn,
    Done,
    ExpectedResult,
    Failure,
    FullCheck,
    MeasureCeilings,
    PrepareCase,
    ReleaseCases,
    TakeTurn,
    TimeCalibration,
    TimingResult,
)
from linbench.execution.pipe import Garbage, Pipe, PipeClosed, ReadTimeout
from linbench.execution.worker import Worker
from linbench.measure.timers import CannotCapture

IMPORT_WORKER_WITHOUT_OPTIONAL_PACKAGES = """
import sys
NOT_NEEDED = {"click", "rich", "sqlalchemy", "alembic", "plotly", "pandas", "jinja2"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NOT_NEEDED:
            raise ImportError(f"a worker must not need {name}")
sys.meta_path.insert(0, Block())
import linbench.execution.worker
from linbench.core.registry import registry
registry.load()
assert not registry.broken, registry.broken
"""


def pipes():
    first, second = os.pipe(), os.pipe()
    return Pipe(first[0], second[1]), Pipe(second[0], first[1])


def test_lines_pass_in_both_directions_in_order():
    parent, child = pipes()
    parent.send(b"one")
    parent.send(b'{"two": "line\\nbreak"}')
    assert [child.receive(1), child.receive(1)] == [b"one", b'{"two": "line\\nbreak"}']
    child.send(b"")
    assert parent.receive(1) == b""


def test_a_line_that_is_too_long_is_rejected(monkeypatch):
    monkeypatch.setattr("linbench.execution.pipe.MAX_MESSAGE_BYTES", 100)
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"x" * 101)
    with pytest.raises(Garbage, match="a line of more than 100 bytes"):
        Pipe(read_fd, write_fd).receive(1)


def test_a_silent_pipe_and_a_closed_pipe_raise_different_errors():
    parent, child = pipes()
    with pytest.raises(ReadTimeout):
        parent.receive(0.05)
    child.close()
    with pytest.raises(PipeClosed):
        parent.receive(1)
    with pytest.raises(PipeClosed):
        parent.send(b"one")


def test_a_worker_needs_only_torch_and_the_core():
    process = subprocess.run(
        [sys.executable, "-c", IMPORT_WORKER_WITHOUT_OPTIONAL_PACKAGES], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


NAME = "linear/naive"
CHECK = Check(NAME, "cpu", 60.0)
ONCE = CheckOnce(NAME)


@pytest.fixture
def case():
    registry.load()
    return registry.operator("linear").complete(Case(1, 16, 1, 4, 4))


@pytest.fixture
def worker(case):
    prepared_worker = Worker(registry)
    answer = prepared_worker.answer(PrepareCase("linear", case, None))
    assert isinstance(answer, ExpectedResult)
    assert answer.expected_values.sample.keys() == answer.expected_values.tolerances.keys() == {"o"}
    return prepared_worker


@pytest.fixture
def replace_naive(monkeypatch):
    """Return a function that replaces the function of linear/naive."""

    def replace_function(function):
        monkeypatch.setitem(registry.implementation(NAME).functions, "fwd", function)

    return replace_function


def test_a_turn_has_every_channel_of_its_timer(worker):
    check_result = worker.answer(CHECK)
    assert check_result.timer == "cpu"
    assert check_result.call_s > 0
    samples = worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)).samples
    assert 1 <= len(samples) == len(samples.cpu_s) == len(samples.switches) == len(samples.contended) <= 5
    assert all(cpu_s > 0 for cpu_s in samples.cpu_s)
    assert samples.kernels_s == samples.enqueue_s == ()
    assert worker.answer(CheckTurn(NAME)) == Done()


def test_the_fields_of_a_single_call_a_check_and_a_full_check(worker):
    requests = (ONCE, CHECK, FullCheck(NAME, "cpu", 60.0))
    once, check, full_check = (worker.answer(request) for request in requests)
    for check_result in (once, check, full_check):
        assert 0 < check_result.errors["o"].rel_l2 < 1e-5
        assert check_result.first_call_s > 0
    assert (once.timer, once.call_s) == ("", None)
    assert (check.deterministic, check.memory, once.deterministic, once.memory) == (None,) * 4
    assert full_check.deterministic is True
    assert full_check.memory.output_bytes == 16 * 4 * 4
    assert full_check.call_s > 0


@pytest.mark.parametrize("request_of", [CheckOnce, lambda name: FullCheck(name, "cpu", 60.0)])
def test_a_check_result_has_the_work_of_the_call(worker, case, request_of):
    assert worker.answer(request_of(NAME)).work == Work(
        useful_flops=4 * 16 * 4 * 4,
        algorithmic_flops=registry.implementation(NAME).flops(case),
        fewest_bytes=4 * 4 * 16 * 4,  # q, k, v and o
    )


def test_an_implementation_without_declared_flops_has_no_algorithmic_flops(worker, monkeypatch):
    monkeypatch.setattr(registry.implementation(NAME), "flops", None)
    work = worker.answer(ONCE).work
    assert (work.algorithmic_flops, work.useful_flops) == (None, 4 * 16 * 4 * 4)


@pytest.mark.parametrize(
    ("flops", "message"),
    [
        (lambda case: case.T / 0, "ZeroDivisionError: division by zero"),
        (lambda _: -1, "flops is -1.0; a count must"),
    ],
)
def test_invalid_flops_are_an_error(worker, monkeypatch, flops, message):
    monkeypatch.setattr(registry.implementation(NAME), "flops", flops)
    failure = worker.answer(ONCE)
    assert (failure.status, failure.errors, failure.must_end) == (Status.ERROR, {}, False)
    assert failure.reason.startswith("its cost or flops failed: ")
    assert message in failure.reason


@pytest.mark.parametrize("request_of", [CheckOnce, lambda name: Check(name, "cpu", 60.0)])
def test_a_wrong_result_is_reported_with_its_errors(worker, replace_naive, request_of):
    replace_naive(lambda q, k, v, **_: 2 * v + 0 * (q + k))
    failure = worker.answer(request_of(NAME))
    assert failure.status is Status.WRONG
    assert failure.reason.startswith("o is off by")
    assert failure.errors["o"].rel_l2 > 0.1
    assert len(failure.errors["o"].by_position) == 16


def test_a_view_of_an_input_is_reported_in_addition_to_the_error(worker, replace_naive):
    def view(q, k, v, **_):
        del q, k
        return v

    replace_naive(view)
    failure = worker.answer(ONCE)
    assert failure.status is Status.WRONG
    assert failure.reason.startswith("o is off by")
    assert failure.reason.endswith("; returns a view of its input v")


def test_a_result_that_is_wrong_only_when_timed_is_detected(worker, replace_naive):
    correct = registry.implementation(NAME).function("fwd")
    factors = [1]
    replace_naive(lambda q, k, v, **options: correct(q, k, v, **options) * factors[-1])
    assert worker.answer(CHECK).timer == "cpu"
    factors.append(2)
    assert isinstance(worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)), TimingResult)
    failure = worker.answer(CheckTurn(NAME))
    assert (failure.status, failure.errors["o"].rel_l2) == (Status.WRONG, pytest.approx(1, rel=1e-3))
    assert failure.reason.startswith("correct at first, but wrong when timed: o is off by")


def test_an_implementation_that_changes_global_settings_is_wrong(worker, replace_naive):
    correct = registry.implementation(NAME).function("fwd")

    def changing(q, k, v, **options):
        torch.set_float32_matmul_precision("high")
        return correct(q, k, v, **options)

    replace_naive(changing)
    failure = worker.answer(ONCE)
    assert failure.status is Status.WRONG
    assert failure.reason == "leaves the process's float32 matmul precision changed"
    assert torch.get_float32_matmul_precision() == "highest"
    assert failure.errors.keys() == {"o"}


def test_an_unsupported_case_is_reported_with_its_reason_and_cause(worker, case, monkeypatch):
    assert worker.answer(CheckSupport(NAME, case)) == Done()
    monkeypatch.setattr(registry.implementation(NAME), "restriction", needs(modules=["no_such_module"]))
    expected = Failure(
        Status.UNSUPPORTED,
        "needs the Python module no_such_module, which is not installed",
        Cause.MISSING_MODULE,
    )
    assert worker.answer(CheckSupport(NAME, case)) == worker.answer(ONCE) == worker.answer(CHECK) == expected


def test_requests_for_released_cases_are_errors(worker):
    assert worker.answer(CHECK).timer == "cpu"
    assert worker.answer(ReleaseCases()) == Done()
    assert worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)).status is Status.ERROR
    assert worker.answer(ONCE).status is Status.ERROR


def test_a_request_of_another_kind_of_worker_is_an_error(worker):
    failure = worker.answer(MeasureCeilings("cpu"))
    reason = "TypeError: MeasureCeilings is not a request of a run"
    assert (failure.status, failure.reason) == (Status.ERROR, reason)


def test_the_calibration_op_is_timed_for_a_few_milliseconds(worker):
    for _ in range(2):
        samples = worker.answer(TimeCalibration("cpu", "cpu")).samples
        assert 1 <= len(samples) <= 8
        assert all(time_s > 0 for time_s in samples.time_s)
        assert sum(samples.time_s[:-1]) < 0.002


def test_an_unsupported_timer_is_an_error(worker):
    failure = worker.answer(replace(CHECK, timer="cupti"))
    assert failure.status is Status.ERROR
    assert "timer 'cupti' is not one of those on cpu: cpu" in failure.reason


def test_a_worker_must_end_after_a_failed_capture(worker, monkeypatch):
    class FailingTimer:
        name = "cuda_graph_hot"

        def bind(self, _):
            raise CannotCapture("cuda_graph_hot cannot capture the call: why")

    monkeypatch.setattr("linbench.execution.worker.timer_for", lambda *_: FailingTimer())
    reason = "cuda_graph_hot cannot capture the call: why"
    assert worker.answer(CHECK) == Failure(Status.UNSUPPORTED, reason, must_end=True)
