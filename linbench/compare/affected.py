"""Affected: which implementations a change of files can have made another."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from linbench.compare.imports import Imports
from linbench.core.registry import Registry


def affected(registry: Registry, imports: Imports, changed: Collection[Path]) -> list[str]:
    """Return the implementations that are made of a changed file, by full name.

    The file that registers an implementation counts, and every file of the repository that it imports, by
    `linbench.compare.imports`. A source that is gone counts for the modules that lie where it lay.

    Args:
        registry: Every implementation.
        imports: Of the repository that the files are in.
        changed: Absolute paths; what is not there any more included.
    """
    files = set(changed)
    emptied = {path.parent for path in files if not path.exists() and path.suffix != ".py"}
    found = []
    for implementation in registry.implementations():
        made_of = imports.closure(Path(implementation.origin))
        if made_of & files or emptied & {path.parent for path in made_of}:
            found.append(implementation.name)
    return found
