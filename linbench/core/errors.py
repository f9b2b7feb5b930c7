"""The errors that a user can act on, each with the exit code of the command."""

import difflib
from collections.abc import Iterable


class LinbenchError(Exception):
    """One line that says what was given, what is allowed and what to type next."""

    exit_code = 1


class UsageError(LinbenchError):
    """An argument, or something in a file given as an argument, is not valid."""

    exit_code = 2


class EnvironmentRefused(LinbenchError):
    """This machine cannot do what was requested, or is already busy."""

    exit_code = 4


class StoreError(LinbenchError):
    """The database cannot be opened, read or written."""

    exit_code = 5


def unknown(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar allowed names.

    Args:
        kind: What the name stands for, as in "grid".
        name: The unknown name.
        allowed: Every allowed name.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"known: {', '.join(names)}"
    else:
        hint = "none is known"
    return UsageError(f"unknown {kind} {name!r}; {hint}")
