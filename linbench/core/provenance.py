"""Provenance: the repository or distribution that contains code, and its state."""

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
"""Variables through which a git hook would redirect every git command below it to its own repository."""
EXCLUDE_BYTECODE: Final = ":(exclude,glob)**/__pycache__/**"
"""Bytecode that Python writes next to an imported module, which is not a change of the code."""


@dataclass(frozen=True)
class Code:
    """The state of a repository or an installed distribution.

    Attributes:
        name: Name of the distribution, or else of the repository's folder, or else of the file.
        version: Version of the distribution; None if the code belongs to none.
        commit: Full hash of the repository's commit; None if no repository tracks the file.
        dirty: Whether the repository had uncommitted changes; None without a commit.
        implementations: Full names of the implementations in it; empty for the harness itself.
    """

    name: str
    version: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    implementations: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Checkout:
    """The state of a repository's working tree.

    Attributes:
        root: Its folder.
        commit: Its commit.
        dirty: Whether there are uncommitted changes.
        tracked: Every tracked file.
    """

    root: Path
    commit: str
    dirty: bool
    tracked: frozenset[Path]


def harness_code() -> Code:
    """Return the code of linbench itself."""
    return _code("linbench", version("linbench"), _checkout_of(Path(__file__).resolve(), {}), ())


def measured_code(origins: Mapping[str, str]) -> tuple[Code, ...]:
    """Return the code that contains implementations, each with their names.

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
        release = version(distribution) if distribution else None
        members.setdefault((name, release, checkout.root if checkout else None), []).append(implementation)
    return tuple(
        _code(name, release, checkouts[root] if root else None, implementations)
        for (name, release, root), implementations in members.items()
    )


def _code(name: str, release: str | None, checkout: _Checkout | None, implementations: Sequence[str]) -> Code:
    if checkout is None:
        return Code(name, release, implementations=tuple(implementations))
    return Code(name, release, checkout.commit, checkout.dirty, tuple(implementations))


def _checkout_of(file: Path, cache: dict[Path, _Checkout | None]) -> _Checkout | None:
    """Return the working tree of the repository that tracks a file, or None; each is read once."""
    root = next((folder for folder in file.parents if (folder / ".git").exists()), None)
    if root is None:
        return None
    if root not in cache:
        cache[root] = _checkout(root)
    checkout = cache[root]
    return checkout if checkout is not None and file in checkout.tracked else None


def _checkout(root: Path) -> _Checkout | None:
    commit, names = _git(root, "rev-parse", "HEAD"), _git(root, "ls-files", "-z")
    changes = _git(root, "status", "--porcelain", "--", ".", EXCLUDE_BYTECODE)
    if commit is None or names is None or changes is None:
        return None
    tracked = frozenset(root / name for name in names.split("\0") if name)
    return _Checkout(root, commit.strip(), bool(changes), tracked)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the output of git, or None if it fails or is not installed."""
    try:
        process = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={name: value for name, value in os.environ.items() if name not in LOCATIONS},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout if process.returncode == 0 else None


def _distribution(file: Path, distributions: Mapping[str, list[str]]) -> str | None:
    """Return the distribution whose top-level module or package is, or contains, a file, or None."""
    top = file if file.name != "__init__.py" else file.parent
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    name = top.name.removesuffix(".py")
    if name not in distributions:
        return None
    spec = find_spec(name)
    origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    is_installed = origin is not None and origin in (file, top, top / "__init__.py")
    return distributions[name][0] if is_installed else None
