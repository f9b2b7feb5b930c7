"""Side: what A and B of a comparison refer to."""

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
    """What can be compared; both sides are of the same kind."""

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
    """One side of a comparison.

    Attributes:
        text: The argument as the user typed it.
        kind: What it refers to.
        name: The implementation's full name, the commit's hash ("." for the working tree), the absolute path
            of the interpreter, or the run's id as typed.
    """

    text: str
    kind: Kind
    name: str


def sides(a: str, b: str, implementations: Collection[str], folder: Path) -> tuple[Side, Side]:
    """Return the two sides that the arguments A and B refer to, both of the same kind.

    An ambiguous argument takes the kind of the other argument.

    Args:
        a: The first argument.
        b: The second argument.
        implementations: Full names.
        folder: Where refs and paths are looked up.

    Raises:
        UsageError: An argument refers to nothing, they are of different kinds, or both are ambiguous.
    """
    a_names, b_names = (_meanings(text, implementations, folder) for text in (a, b))
    for text, names in ((a, a_names), (b, b_names)):
        if not names:
            raise _no_meaning(text, implementations, folder)
    shared = [kind for kind in a_names if kind in b_names]
    if not shared:
        kinds = f"{a!r} is {' or '.join(a_names)} and {b!r} is {' or '.join(b_names)}"
        example = EXAMPLES[next(iter(a_names))]
        raise UsageError(f"{kinds}; compare two of the same kind, as in `{example}`")
    if len(shared) > 1:
        raise UsageError(
            f"{a!r} and {b!r} can each be {' and '.join(shared)}; write {IMPLEMENTATION}{a} for the "
            f"implementation, refs/heads/{a} for the branch, ./{a} for the file"
        )
    (kind,) = shared
    return Side(a, kind, a_names[kind]), Side(b, kind, b_names[kind])


def _meanings(text: str, implementations: Collection[str], folder: Path) -> dict[Kind, str]:
    """Return the kinds that an argument can be, with the name of each."""
    if text.startswith(RUN):
        return {Kind.RUN: text.removeprefix(RUN)}
    if text.startswith(IMPLEMENTATION):
        name = text.removeprefix(IMPLEMENTATION)
        return {Kind.IMPLEMENTATION: name} if name in implementations else {}
    names = {}
    if text in implementations:
        names[Kind.IMPLEMENTATION] = text
    if (interpreter := _interpreter(text, folder)) is not None:
        names[Kind.INTERPRETER] = interpreter
    if (commit := _commit(text, folder)) is not None:
        names[Kind.REF] = commit
    return names


def _interpreter(text: str, folder: Path) -> str | None:
    """Return the absolute path of an executable; a virtual environment's symbolic link is not resolved."""
    path = folder / Path(text).expanduser()
    if os.sep in text and path.is_file() and os.access(path, os.X_OK):
        return os.path.abspath(path)
    return which(text) if text.startswith("python") else None


def _commit(text: str, folder: Path) -> str | None:
    try:
        repository = Repository(folder)
    except UsageError:
        return None
    return text if text == WORKING_TREE else repository.commit(text)


def _no_meaning(text: str, implementations: Collection[str], folder: Path) -> UsageError:
    near = difflib.get_close_matches(
        text.removeprefix(IMPLEMENTATION), sorted(implementations), n=3, cutoff=0.6
    )
    hint = f"; did you mean {' or '.join(near)}?" if near else "; see `linbench list implementations`"
    try:
        ref = f"no git ref of {Repository(folder).root}"
    except UsageError:
        ref = f"no git ref ({folder} is not in a git repository)"
    return UsageError(
        f"{text!r} is no implementation, {ref} and no executable interpreter, and does not start with "
        f"{RUN}{hint}"
    )
