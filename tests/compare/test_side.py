"""What two words mean, and what is said where they mean nothing, too much or two kinds of thing."""

import re
import sys

import pytest
from scratch import Scratch

from linbench.compare.side import Kind, sides
from linbench.core.errors import UsageError

NAMES = ["linear/chunk", "linear/naive"]


@pytest.fixture
def scratch(tmp_path):
    made = Scratch(tmp_path, {"a": "a"})
    made.git("branch", "linear/chunk")
    made.git("branch", "topic")
    return made


def meant(scratch, a, b):
    one, other = sides(a, b, NAMES, scratch.folder)
    assert one.kind is other.kind
    return one.kind, one.name, other.name


def test_words_mean_implementations_refs_interpreters_and_runs(scratch):
    head = scratch.git("rev-parse", "HEAD")
    assert meant(scratch, "topic", ".") == (Kind.REF, head, ".")
    assert meant(scratch, head[:8], "HEAD~0") == (Kind.REF, head, head)
    assert meant(scratch, "linear/naive", "impl:linear/chunk") == (Kind.IMPLEMENTATION, *NAMES[::-1])
    assert meant(scratch, sys.executable, sys.executable)[0] is Kind.INTERPRETER
    assert meant(scratch, "run:2026", "run:latest") == (Kind.RUN, "2026", "latest")


def test_a_word_that_is_two_things_is_what_the_other_is(scratch):
    head = scratch.git("rev-parse", "HEAD")
    assert meant(scratch, "linear/chunk", "linear/naive")[0] is Kind.IMPLEMENTATION
    assert meant(scratch, "linear/chunk", "topic") == (Kind.REF, head, head)
    assert meant(scratch, "refs/heads/linear/chunk", "linear/chunk")[0] is Kind.REF


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (
            "linear/chunk",
            "linear/chunk",
            "can each be an implementation and a git ref; write impl:linear/chunk",
        ),
        (
            "linear/naive",
            "topic",
            "compare two of one kind, as in `linbench compare linear/naive linear/chunk`",
        ),
        ("run:x", "topic", "'run:x' is a stored run and 'topic' is a git ref; compare two of one kind"),
        ("topik", "topic", "'topik' is no implementation, no git ref of"),
        ("linear/chnk", ".", "did you mean linear/chunk"),
        ("impl:linear/x", "linear/naive", "'impl:linear/x' is no implementation"),
        ("--upload-pack=x", ".", "is no implementation"),
        ("nowhere/python", sys.executable, "no interpreter that can be run"),
    ],
)
def test_mistakes_say_what_to_type(scratch, a, b, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        sides(a, b, NAMES, scratch.folder)


def test_outside_a_repository_it_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"no git ref, as .* is in no git repository"):
        sides("main", ".", NAMES, tmp_path)
