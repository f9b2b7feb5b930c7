"""The pipe and the worker by themselves."""

import os
import subprocess
import sys

import pytest

from linbench import Case
from linbench.core.registry import registry
from linbench.execution.pipe import Garbage, Hung, Pipe, PipeClosed
from linbench.execution.worker import Worker
from linbench.measure.timers import CannotCapture

ONLY_WHAT_A_WORKER_NEEDS = """
import sys
NOT_NEEDED = {"click", "rich", "pydantic", "sqlalchemy", "alembic", "plotly", "pandas", "jinja2"}
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


def test_messages_pass_both_ways_in_order():
    here, there = pipes()
    here.send({"a": 1})
    here.send({"b": "line\nbreak"})
    assert [there.receive(1), there.receive(1)] == [{"a": 1}, {"b": "line\nbreak"}]
    there.send({"c": [1.5]})
    assert here.receive(1) == {"c": [1.5]}


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"\xff\xfe\n", b'"text"\n'])
def test_what_is_no_message_is_garbage(line):
    read, write = os.pipe()
    os.write(write, line)
    with pytest.raises(Garbage):
        Pipe(read, write).receive(1)


def test_silence_and_a_closed_end_are_told_apart():
    here, there = pipes()
    with pytest.raises(Hung):
        here.receive(0.05)
    there.close()
    with pytest.raises(PipeClosed):
        here.receive(1)
    with pytest.raises(PipeClosed):
        here.send({"a": 1})


def test_a_worker_needs_no_more_than_torch_and_the_core():
    done = subprocess.run([sys.executable, "-c", ONLY_WHAT_A_WORKER_NEEDS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CHECK = {"do": "check", "implementation": "linear/naive", "timer": "cpu", "timeout_s": 60.0}
TURN = {"do": "turn", "implementation": "linear/naive", "timer": "cpu", "budget_s": 0.01, "max_samples": 5}


@pytest.fixture
def worker():
    registry.load()
    made = Worker(registry)
    case = registry.operator("linear").complete(Case(1, 16, 1, 4, 4)).to_json()
    assert made.answer({"do": "open", "operator": "linear", "case": case, "oracle": None})["status"] == "ok"
    return made


def test_a_turn_answers_what_its_timer_told_of_each_sample(worker):
    checked = worker.answer(CHECK | {"once": False, "study": False})
    assert checked["timer"] == "cpu"
    answer = worker.answer(TURN)
    assert answer["status"] == "ok"
    assert 1 <= len(answer["samples_s"]) == len(answer["cpu_s"]) == len(answer["switches"]) <= 5
    assert all(cpu_s > 0 for cpu_s in answer["cpu_s"])
    assert answer["kernels_s"] == []


@pytest.mark.parametrize("once", [False, True])
def test_what_is_checked_says_its_work(worker, once):
    operator, made = registry.operator("linear"), registry.implementation("linear/naive")
    case = operator.complete(Case(1, 16, 1, 4, 4))
    answer = worker.answer(CHECK | {"once": once, "study": True})
    assert answer["work"] == {
        "useful_flops": 4 * 16 * 4 * 4,
        "algorithmic_flops": made.flops(case),
        "fewest_bytes": 4 * 4 * 16 * 4,  # q, k, v and o
    }


def test_an_implementation_that_declares_no_operations_has_none(worker, monkeypatch):
    monkeypatch.setattr(registry.implementation("linear/naive"), "flops", None)
    work = worker.answer(CHECK | {"once": True, "study": True})["work"]
    assert work["algorithmic_flops"] is None
    assert work["useful_flops"] == 4 * 16 * 4 * 4


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (lambda case: case.T / 0, "ZeroDivisionError: division by zero"),
        (lambda _: -1, "flops is -1.0, where"),
    ],
)
def test_operations_that_cannot_be_are_an_error(worker, monkeypatch, declared, said):
    monkeypatch.setattr(registry.implementation("linear/naive"), "flops", declared)
    answer = worker.answer(CHECK | {"once": True, "study": True})
    assert answer["status"] == "error"
    assert answer["reason"].startswith("its cost or flops failed: ")
    assert said in answer["reason"]


def test_the_anchor_is_timed_for_a_few_milliseconds(worker):
    first, second = (
        worker.answer({"do": "anchor", "timer": "cpu", "device": "cpu"})["anchor_s"] for _ in range(2)
    )
    for taken in (first, second):
        assert 1 <= len(taken) <= 8
        assert all(seconds > 0 for seconds in taken)
        assert sum(taken[:-1]) < 0.002


def test_a_timer_that_is_not_there_times_nothing_and_none_stands_in_for_it(worker):
    answer = worker.answer(CHECK | {"once": False, "study": False, "timer": "cupti"})
    assert answer["status"] == "error"
    assert "timer 'cupti' is not one of those on cpu: cpu" in answer["reason"]
    assert "call_s" not in answer


def test_a_worker_in_which_a_capture_failed_is_replaced(worker, monkeypatch):
    class Uncapturing:
        name = "cuda_graph_hot"

        def bind(self, _):
            raise CannotCapture("cuda_graph_hot cannot capture the call: why")

    monkeypatch.setattr("linbench.execution.worker.timer_for", lambda *_: Uncapturing())
    answer = worker.answer(CHECK | {"once": False, "study": False})
    reason = "cuda_graph_hot cannot capture the call: why"
    assert answer == {"status": "unsupported", "reason": reason, "recycle": True}
