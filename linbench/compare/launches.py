"""Launches: how the workers of each side are started, each with its own code and all with one harness."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from linbench.compare.git import Repository, Trees
from linbench.compare.imports import HARNESS, Imports
from linbench.compare.side import WORKING_TREE, Kind, Side
from linbench.core.errors import UsageError
from linbench.execution.process import Launch


def launches(
    pair: tuple[Side, Side], launch: Launch, imports: Imports | None, trees: Trees | None
) -> list[Launch]:
    """Return how the workers of a pair are started: one launch if a process holds both, else two.

    Args:
        pair: Implementations, refs or interpreters.
        launch: How a worker of this process's own code is started.
        imports: What plugins are made of; for refs.
        trees: Where commits are checked out; for refs.

    Raises:
        UsageError: Refs are given, and no plugin comes from the repository.
    """
    kind = pair[0].kind
    if kind is Kind.IMPLEMENTATION:
        return [launch]
    if kind is Kind.INTERPRETER:
        return [elsewhere(side, launch) for side in pair]
    assert imports is not None and trees is not None, "refs need a repository"  # noqa: PT018
    repository = imports.repository
    if not imports.roots and not any(repository.holds(Path(plugin)) for plugin in launch.plugins):
        raise UsageError(
            f"no plugin that is loaded comes from {repository.root}, so that its commits do not differ "
            "here; install it from there (pip install -e .), put its folder on PYTHONPATH, or name a file "
            "with --plugin"
        )
    return [at_ref(side, launch, imports, trees) for side in pair]


def elsewhere(side: Side, launch: Launch) -> Launch:
    """Return how a worker of another interpreter is started, which finds what is installed for that one."""
    return replace(launch, path=None, interpreter=side.name)


def at_ref(side: Side, launch: Launch, imports: Imports, trees: Trees) -> Launch:
    """Return how a worker is started that finds the code of a commit, and this process's harness.

    The folders that plugins are imported from, everything else of the repository on sys.path and plugin
    files are taken from the commit's own tree; what git ignores, as a virtual environment, stays. Folders
    come before anything installed, and so before an editable installation, too.
    """
    repository = imports.repository
    tree = repository.root if side.name == WORKING_TREE else trees.of(side.name)
    folders = [*imports.roots, *(Path(entry).resolve() for entry in sys.path if entry)]
    placed = [_placed(folder, repository, tree) for folder in folders]
    path = (str(harness(trees.folder)), *map(str, dict.fromkeys(placed)))
    plugins = tuple(
        str(there)
        for plugin in launch.plugins
        if (there := _placed(Path(plugin).resolve(), repository, tree)).is_file()
    )
    return replace(launch, plugins=plugins, path=path)


def harness(folder: Path) -> Path:
    """Return a folder with the running harness in it, and nothing else."""
    path = folder / "harness"
    path.mkdir(exist_ok=True)
    if not (link := path / HARNESS).is_symlink():
        link.symlink_to(Path(__file__).resolve().parents[1])
    return path


def _placed(path: Path, repository: Repository, tree: Path) -> Path:
    """Return where a path of the repository is in a tree; one from elsewhere stays as it is."""
    return tree / path.relative_to(repository.root) if repository.holds(path) else path
