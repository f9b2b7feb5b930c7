"""The pipe and the worker by themselves."""

import os
import subprocess
import sys

import pytest

from linbench.core.measurement import Status
from linbench.execution.pipe import Garbage, Hung, Pipe, PipeClosed
from linbench.execution.process import WorkerLost, WorkerProcess

ONLY_WHAT_A_WORKER_NEEDS = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"click", "rich", "pydantic", "sqlalchemy", "alembic", "plotly", "pandas", "jinja2"}:
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


def test_a_worker_that_answers_garbage_is_lost_as_crashed(tmp_path):
    plugin = tmp_path / "garbage.py"
    plugin.write_text("import os, sys\nos.write(int(sys.argv[2]), b'not json at all\\n' * 2)\n")
    worker = None
    with pytest.raises(Exception, match="garbage|not json") as caught:
        worker = WorkerProcess([str(plugin)], 2**33)
        worker.ask({"do": "close"}, 10)
    if worker is not None:
        assert isinstance(caught.value, WorkerLost)
        assert caught.value.status is Status.CRASHED
