"""Provenance: the repository or distribution that code lies in, and in which state it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

TIMEOUT_S = 10.0
LOCATIONS: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables by which a git hook would have every git below it look at its own repository."""
COMPILED_LEFT_OUT: Final = ":(exclude,glob)**/__pycache__/**"
"""What Python writes beside a module that it imports, which is no change."""


@dataclass(frozen=True)
class Code:
    """A repository or an installed distribution, as it stood.

    Attributes:
        name: Of the distribution, or else of the repository's folder, or else of the file.
        version: Of the distribution; None if the code is in none.
        commit: Full hash of the commit that the repository was at; None if the file is tracked by none.
        dirty: Whether the repository had changes beside the commit; None without one.
        implementations: Full names of those that lie in it; none for the harness itself.
    """

    name: str
    version: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    implementations: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Checkout:
    """A repository's working tree, as it stands.

    Attributes:
        root: Its folder.
        commit: That it is at.
        dirty: Whether there are changes beside it.
        tracked: Every file of it.
    """

    root: Path
    commit: str
    dirty: bool
    tracked: frozenset[Path]


def harness_code() -> Code:
    """Return the code of linbench itself."""
    return _code("linbench", version("linbench"), _checkout_of(Path(__file__).resolve(), {}), ())


def measured_code(origins: Mapping[str, str]) -> tuple[Code, ...]:
    """Return the code that implementations lie in, each with their names.

    Args:
        origins: The file of each implementation, by its full name.
    """
    distributions = packages_distributions() if origins else {}
    checkouts: dict[Path, _Checkout | None] = {}
    members: dict[tuple[str, str | None, Path | None], list[str]] = {}
    for implementation, origin in sorted(origins.items()):
        file = Path(origin).resolve()
        distribution = _distribution(file, distributions)
        checkout = _checkout_of(file, checkouts)
        name = distribution or (checkout.root.name if checkout else file.name)
        known = version(distribution) if distribution else None
        members.setdefault((name, known, checkout.root if checkout else None), []).append(implementation)
    return tuple(
        _code(name, known, checkouts[root] if root else None, implementations)
        for (name, known, root), implementations in members.items()
    )


def _code(name: str, known: str | None, checkout: _Checkout | None, implementations: Sequence[str]) -> Code:
    if checkout is None:
        return Code(name, known, implementations=tuple(implementations))
    return Code(name, known, checkout.commit, checkout.dirty, tuple(implementations))


def _checkout_of(file: Path, known: dict[Path, _Checkout | None]) -> _Checkout | None:
    """Return the working tree of the repository that tracks a file, or None; each is asked once."""
    root = next((folder for folder in file.parents if (folder / ".git").exists()), None)
    if root is None:
        return None
    if root not in known:
        known[root] = _checkout(root)
    checkout = known[root]
    return checkout if checkout is not None and file in checkout.tracked else None


def _checkout(root: Path) -> _Checkout | None:
    commit, listed = _git(root, "rev-parse", "HEAD"), _git(root, "ls-files", "-z")
    changes = _git(root, "status", "--porcelain", "--", ".", COMPILED_LEFT_OUT)
    if commit is None or listed is None or changes is None:
        return None
    tracked = frozenset(root / name for name in listed.split("\0") if name)
    return _Checkout(root, commit.strip(), bool(changes), tracked)


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None if it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            env={name: value for name, value in os.environ.items() if name not in LOCATIONS},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _distribution(file: Path, distributions: Mapping[str, list[str]]) -> str | None:
    """Return the distribution whose top-level module or package a file is, or lies in, or None."""
    top = file if file.name != "__init__.py" else file.parent
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    name = top.name.removesuffix(".py")
    if name not in distributions:
        return None
    spec = find_spec(name)
    origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    is_there = origin is not None and origin in (file, top, top / "__init__.py")
    return distributions[name][0] if is_there else None
