"""The errors a person can act on, each with the exit code it ends a command with."""

import difflib
from collections.abc import Iterable


class LinbenchError(Exception):
    """One line that says what was given, what is allowed and what to type next."""

    exit_code = 1


class UsageError(LinbenchError):
    """Something typed, or written in a file that was named, cannot be taken."""

    exit_code = 2


class EnvironmentRefused(LinbenchError):
    """This machine cannot do what was asked, or is busy doing it already."""

    exit_code = 4


class StoreError(LinbenchError):
    """The database cannot be opened, read or written."""

    exit_code = 5


def unknown(kind: str, given: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not known, with the nearest ones that are.

    Args:
        kind: What the name should have been, as in "grid".
        given: The name as it was given.
        known: Every name that would have been taken.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"known: {', '.join(names)}"
    else:
        hint = "none is known"
    return UsageError(f"unknown {kind} {given!r}; {hint}")
