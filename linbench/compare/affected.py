"""Affected: which implementations a change to files can affect."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from linbench.compare.imports import Imports
from linbench.core.registry import Registry


def affected_implementations(
    registry: Registry, imports: Imports, changed_files: Collection[Path]
) -> list[str]:
    """Return the full names of the implementations that depend on a changed file.

    An implementation depends on the file that registers it and on every file of the repository that this file
    imports, according to `linbench.compare.imports`. A deleted non-Python source affects the modules in its
    folder.

    Args:
        registry: Every implementation.
        imports: Import graph of the repository that contains the files.
        changed_files: Absolute paths, including those of deleted files.
    """
    files = set(changed_files)
    folders = {path.parent for path in files if not path.exists() and path.suffix != ".py"}
    names = []
    for implementation in registry.implementations():
        dependencies = imports.closure(Path(implementation.origin))
        if dependencies & files or folders & {path.parent for path in dependencies}:
            names.append(implementation.name)
    return names
