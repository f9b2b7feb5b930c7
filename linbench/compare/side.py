"""Side: what A and B of a comparison are."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shutil import which

from linbench.compare.git import Repository
from linbench.core.errors import UsageError

RUN = "run:"
IMPLEMENTATION = "impl:"
WORKING_TREE = "."


class Kind(StrEnum):
    """What can be compared; both sides are of one kind."""

    IMPLEMENTATION = "an implementation"
    REF = "a git ref"
    INTERPRETER = "an interpreter"
    RUN = "a stored run"


EXAMPLES: Mapping[Kind, str] = {
    Kind.IMPLEMENTATION: "linbench compare linear/naive linear/chunk",
    Kind.REF: "linbench compare main .",
    Kind.INTERPRETER: "linbench compare old/bin/python new/bin/python",
    Kind.RUN: "linbench compare run:ID run:latest",
}


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        given: As it was typed.
        kind: What it is.
        name: The implementation's full name, the commit's hash ("." for the working tree as it is), the
            absolute path of the interpreter, or the run's id as it was typed.
    """

    given: str
    kind: Kind
    name: str


def sides(a: str, b: str, implementations: Collection[str], folder: Path) -> tuple[Side, Side]:
    """Return what two words mean, both of one kind.

    A word that could be several things is what the other one is.

    Args:
        a: The first.
        b: The second.
        implementations: Full names.
        folder: Where refs and paths are looked up.

    Raises:
        UsageError: A word means nothing, or they are of two kinds, or could both be several things.
    """
    one, other = (_meanings(word, implementations, folder) for word in (a, b))
    for word, found in ((a, one), (b, other)):
        if not found:
            raise _nothing(word, implementations, folder)
    shared = [kind for kind in one if kind in other]
    if not shared:
        kinds = f"{a!r} is {_listed(one)} and {b!r} is {_listed(other)}"
        example = EXAMPLES[next(iter(one))]
        raise UsageError(f"{kinds}; compare two of one kind, as in `{example}`")
    if len(shared) > 1:
        raise UsageError(
            f"{a!r} and {b!r} can each be {' and '.join(shared)}; write {IMPLEMENTATION}{a} for the "
            f"implementation, refs/heads/{a} for the branch, ./{a} for the file"
        )
    (kind,) = shared
    return Side(a, kind, one[kind]), Side(b, kind, other[kind])


def _meanings(word: str, implementations: Collection[str], folder: Path) -> dict[Kind, str]:
    """Return what a word can be, and the name of each."""
    if word.startswith(RUN):
        return {Kind.RUN: word.removeprefix(RUN)}
    if word.startswith(IMPLEMENTATION):
        name = word.removeprefix(IMPLEMENTATION)
        return {Kind.IMPLEMENTATION: name} if name in implementations else {}
    found = {}
    if word in implementations:
        found[Kind.IMPLEMENTATION] = word
    if (interpreter := _interpreter(word, folder)) is not None:
        found[Kind.INTERPRETER] = interpreter
    if (commit := _commit(word, folder)) is not None:
        found[Kind.REF] = commit
    return found


def _interpreter(word: str, folder: Path) -> str | None:
    """Return the absolute path of a file that can be run; a link stays one, as in a virtual environment."""
    path = folder / Path(word).expanduser()
    if os.sep in word and path.is_file() and os.access(path, os.X_OK):
        return os.path.abspath(path)
    return which(word) if word.startswith("python") else None


def _commit(word: str, folder: Path) -> str | None:
    try:
        repository = Repository(folder)
    except UsageError:
        return None
    return word if word == WORKING_TREE else repository.commit(word)


def _nothing(word: str, implementations: Collection[str], folder: Path) -> UsageError:
    near = difflib.get_close_matches(
        word.removeprefix(IMPLEMENTATION), sorted(implementations), n=3, cutoff=0.6
    )
    hint = f"; did you mean {' or '.join(near)}?" if near else "; see `linbench list implementations`"
    try:
        where = f"no git ref of {Repository(folder).root}"
    except UsageError:
        where = f"no git ref, as {folder} is in no git repository"
    return UsageError(
        f"{word!r} is no implementation, {where}, no interpreter that can be run, and does not start with "
        f"{RUN}{hint}"
    )


def _listed(found: Mapping[Kind, str]) -> str:
    return " or ".join(found)
