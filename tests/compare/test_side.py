"""What the arguments A and B refer to, and the messages for unknown, ambiguous and mixed ones."""

import re
import sys

import pytest
from scratch import Scratch

from linbench.compare.side import Kind, sides
from linbench.core.errors import UsageError

NAMES = ["linear/chunk", "linear/naive"]


@pytest.fixture
def scratch(tmp_path):
    repository = Scratch(tmp_path, {"a": "a"})
    repository.git("branch", "linear/chunk")
    repository.git("branch", "topic")
    return repository


def resolve(scratch, a, b):
    a_side, b_side = sides(a, b, NAMES, scratch.folder)
    assert a_side.kind is b_side.kind
    return a_side.kind, a_side.name, b_side.name


def test_sides_are_implementations_refs_interpreters_or_runs(scratch):
    head = scratch.git("rev-parse", "HEAD")
    assert resolve(scratch, "topic", ".") == (Kind.REF, head, ".")
    assert resolve(scratch, head[:8], "HEAD~0") == (Kind.REF, head, head)
    assert resolve(scratch, "linear/naive", "impl:linear/chunk") == (Kind.IMPLEMENTATION, *NAMES[::-1])
    assert resolve(scratch, sys.executable, sys.executable)[0] is Kind.INTERPRETER
    assert resolve(scratch, "run:2026", "run:latest") == (Kind.RUN, "2026", "latest")


def test_an_ambiguous_argument_takes_the_kind_of_the_other(scratch):
    head = scratch.git("rev-parse", "HEAD")
    assert resolve(scratch, "linear/chunk", "linear/naive")[0] is Kind.IMPLEMENTATION
    assert resolve(scratch, "linear/chunk", "topic") == (Kind.REF, head, head)
    assert resolve(scratch, "refs/heads/linear/chunk", "linear/chunk")[0] is Kind.REF


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            "linear/chunk",
            "linear/chunk",
            "can each be an implementation and a git ref; write impl:linear/chunk",
        ),
        (
            "linear/naive",
            "topic",
            "compare two of the same kind, as in `linbench compare linear/naive linear/chunk`",
        ),
        ("run:x", "topic", "'run:x' is a stored run and 'topic' is a git ref; compare two of the same kind"),
        ("topik", "topic", "'topik' is no implementation, no git ref of"),
        ("linear/chnk", ".", "did you mean linear/chunk"),
        ("impl:linear/x", "linear/naive", "'impl:linear/x' is no implementation"),
        ("--upload-pack=x", ".", "is no implementation"),
        ("nowhere/python", sys.executable, "no executable interpreter"),
    ],
)
def test_messages_say_what_to_type(scratch, a, b, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        sides(a, b, NAMES, scratch.folder)


def test_the_message_outside_a_repository_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"no git ref \(.* is not in a git repository\)"):
        sides("main", ".", NAMES, tmp_path)
