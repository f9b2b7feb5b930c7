"""The pipe and the worker by themselves."""

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
from linbench.execution.pipe import Garbage, Hung, Pipe, PipeClosed
from linbench.execution.worker import Worker
from linbench.measure.timers import CannotCapture

ONLY_WHAT_A_WORKER_NEEDS = """
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
    one, two = os.pipe(), os.pipe()
    return Pipe(one[0], two[1]), Pipe(two[0], one[1])


def test_lines_pass_both_ways_in_order():
    here, there = pipes()
    here.send(b"one")
    here.send(b'{"two": "line\\nbreak"}')
    assert [there.receive(1), there.receive(1)] == [b"one", b'{"two": "line\\nbreak"}']
    there.send(b"")
    assert here.receive(1) == b""


def test_a_line_without_end_is_garbage(monkeypatch):
    monkeypatch.setattr("linbench.execution.pipe.MAX_MESSAGE_BYTES", 100)
    read, write = os.pipe()
    os.write(write, b"x" * 101)
    with pytest.raises(Garbage, match="a line of more than 100 bytes"):
        Pipe(read, write).receive(1)


def test_silence_and_a_closed_end_are_told_apart():
    here, there = pipes()
    with pytest.raises(Hung):
        here.receive(0.05)
    there.close()
    with pytest.raises(PipeClosed):
        here.receive(1)
    with pytest.raises(PipeClosed):
        here.send(b"one")


def test_a_worker_needs_no_more_than_torch_and_the_core():
    done = subprocess.run([sys.executable, "-c", ONLY_WHAT_A_WORKER_NEEDS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


NAME = "linear/naive"
CHECK = Check(NAME, "cpu", 60.0)
ONCE = CheckOnce(NAME)


@pytest.fixture
def case():
    registry.load()
    return registry.operator("linear").complete(Case(1, 16, 1, 4, 4))


@pytest.fixture
def worker(case):
    made = Worker(registry)
    said = made.answer(PrepareCase("linear", case, None))
    assert isinstance(said, ExpectedResult)
    assert said.expected_values.sample.keys() == said.expected_values.tolerances.keys() == {"o"}
    return made


@pytest.fixture
def plugged(monkeypatch):
    """Have linear/naive compute what a test says."""

    def plug(function):
        monkeypatch.setitem(registry.implementation(NAME).functions, "fwd", function)

    return plug


def test_a_turn_answers_what_its_timer_told_of_each_sample(worker):
    checked = worker.answer(CHECK)
    assert checked.timer == "cpu"
    assert checked.call_s > 0
    samples = worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)).samples
    assert 1 <= len(samples) == len(samples.cpu_s) == len(samples.switches) == len(samples.contended) <= 5
    assert all(cpu_s > 0 for cpu_s in samples.cpu_s)
    assert samples.kernels_s == samples.enqueue_s == ()
    assert worker.answer(CheckTurn(NAME)) == Done()


def test_a_full_check_tells_more_than_a_check_and_a_check_more_than_once(worker):
    once, check, full_check = (worker.answer(one) for one in (ONCE, CHECK, FullCheck(NAME, "cpu", 60.0)))
    for checked in (once, check, full_check):
        assert 0 < checked.errors["o"].rel_l2 < 1e-5
        assert checked.first_call_s > 0
    assert (once.timer, once.call_s) == ("", None)
    assert (check.deterministic, check.memory, once.deterministic, once.memory) == (None,) * 4
    assert full_check.deterministic is True
    assert full_check.memory.output_bytes == 16 * 4 * 4
    assert full_check.call_s > 0


@pytest.mark.parametrize("request_of", [CheckOnce, lambda name: FullCheck(name, "cpu", 60.0)])
def test_what_is_checked_says_its_work(worker, case, request_of):
    assert worker.answer(request_of(NAME)).work == Work(
        useful_flops=4 * 16 * 4 * 4,
        algorithmic_flops=registry.implementation(NAME).flops(case),
        fewest_bytes=4 * 4 * 16 * 4,  # q, k, v and o
    )


def test_an_implementation_that_declares_no_operations_has_none(worker, monkeypatch):
    monkeypatch.setattr(registry.implementation(NAME), "flops", None)
    work = worker.answer(ONCE).work
    assert (work.algorithmic_flops, work.useful_flops) == (None, 4 * 16 * 4 * 4)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (lambda case: case.T / 0, "ZeroDivisionError: division by zero"),
        (lambda _: -1, "flops is -1.0; a count must"),
    ],
)
def test_operations_that_cannot_be_are_an_error(worker, monkeypatch, declared, said):
    monkeypatch.setattr(registry.implementation(NAME), "flops", declared)
    failed = worker.answer(ONCE)
    assert (failed.status, failed.errors, failed.must_end) == (Status.ERROR, {}, False)
    assert failed.reason.startswith("its cost or flops failed: ")
    assert said in failed.reason


@pytest.mark.parametrize("request_of", [CheckOnce, lambda name: Check(name, "cpu", 60.0)])
def test_a_wrong_result_is_told_with_its_errors(worker, plugged, request_of):
    plugged(lambda q, k, v, **_: 2 * v + 0 * (q + k))
    failed = worker.answer(request_of(NAME))
    assert failed.status is Status.WRONG
    assert failed.reason.startswith("o is off by")
    assert failed.errors["o"].rel_l2 > 0.1
    assert len(failed.errors["o"].by_position) == 16


def test_a_view_of_an_input_is_told_beside_what_else_is_wrong(worker, plugged):
    def view(q, k, v, **_):
        del q, k
        return v

    plugged(view)
    failed = worker.answer(ONCE)
    assert failed.status is Status.WRONG
    assert failed.reason.startswith("o is off by")
    assert failed.reason.endswith("; returns a view of its input v")


def test_a_result_that_goes_wrong_when_timed_is_told(worker, plugged):
    right = registry.implementation(NAME).function("fwd")
    factors = [1]
    plugged(lambda q, k, v, **options: right(q, k, v, **options) * factors[-1])
    assert worker.answer(CHECK).timer == "cpu"
    factors.append(2)
    assert isinstance(worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)), TimingResult)
    failed = worker.answer(CheckTurn(NAME))
    assert (failed.status, failed.errors["o"].rel_l2) == (Status.WRONG, pytest.approx(1, rel=1e-3))
    assert failed.reason.startswith("right at first, but not when timed: o is off by")


def test_settings_that_were_changed_are_blamed_on_what_was_asked(worker, plugged):
    right = registry.implementation(NAME).function("fwd")

    def changing(q, k, v, **options):
        torch.set_float32_matmul_precision("high")
        return right(q, k, v, **options)

    plugged(changing)
    failed = worker.answer(ONCE)
    assert failed.status is Status.WRONG
    assert failed.reason == "leaves the process's float32 matmul precision changed"
    assert torch.get_float32_matmul_precision() == "highest"
    assert failed.errors.keys() == {"o"}


def test_why_a_case_is_not_taken_is_told_with_its_cause(worker, case, monkeypatch):
    assert worker.answer(CheckSupport(NAME, case)) == Done()
    monkeypatch.setattr(registry.implementation(NAME), "restriction", needs(modules=["no_such_module"]))
    due = Failure(
        Status.UNSUPPORTED,
        "needs the Python module no_such_module, which is not installed",
        Cause.MISSING_MODULE,
    )
    assert worker.answer(CheckSupport(NAME, case)) == worker.answer(ONCE) == worker.answer(CHECK) == due


def test_cases_that_were_closed_are_gone(worker):
    assert worker.answer(CHECK).timer == "cpu"
    assert worker.answer(ReleaseCases()) == Done()
    assert worker.answer(TakeTurn(NAME, "cpu", 0.01, 5)).status is Status.ERROR
    assert worker.answer(ONCE).status is Status.ERROR


def test_what_is_no_request_of_a_runs_is_an_error(worker):
    failed = worker.answer(MeasureCeilings("cpu"))
    assert (failed.status, failed.reason) == (
        Status.ERROR,
        "TypeError: MeasureCeilings is no request of a run's",
    )


def test_the_calibration_op_is_timed_for_a_few_milliseconds(worker):
    for _ in range(2):
        samples = worker.answer(TimeCalibration("cpu", "cpu")).samples
        assert 1 <= len(samples) <= 8
        assert all(seconds > 0 for seconds in samples.time_s)
        assert sum(samples.time_s[:-1]) < 0.002


def test_a_timer_that_is_not_there_times_nothing_and_none_stands_in_for_it(worker):
    failed = worker.answer(replace(CHECK, timer="cupti"))
    assert failed.status is Status.ERROR
    assert "timer 'cupti' is not one of those on cpu: cpu" in failed.reason


def test_a_worker_in_which_a_capture_failed_is_replaced(worker, monkeypatch):
    class Uncapturing:
        name = "cuda_graph_hot"

        def bind(self, _):
            raise CannotCapture("cuda_graph_hot cannot capture the call: why")

    monkeypatch.setattr("linbench.execution.worker.timer_for", lambda *_: Uncapturing())
    reason = "cuda_graph_hot cannot capture the call: why"
    assert worker.answer(CHECK) == Failure(Status.UNSUPPORTED, reason, must_end=True)
