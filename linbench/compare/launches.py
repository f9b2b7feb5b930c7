"""Launches: how the workers of each side are started: with their own code and the same harness."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from linbench.compare.git import Repository, Worktrees
from linbench.compare.imports import HARNESS, Imports
from linbench.compare.side import WORKING_TREE, Kind, Side
from linbench.core.errors import UsageError
from linbench.execution.process import Launch


def launches(
    pair: tuple[Side, Side], launch: Launch, imports: Imports | None, worktrees: Worktrees | None
) -> list[Launch]:
    """Return the launches of a pair: one if the same process runs both sides, else two.

    Args:
        pair: Implementations, refs or interpreters.
        launch: Launch of a worker with the code of this process.
        imports: Import graph of the plugins; for refs.
        worktrees: Worktrees to check commits out into; for refs.

    Raises:
        UsageError: The sides are refs, and no plugin comes from the repository.
    """
    kind = pair[0].kind
    if kind is Kind.IMPLEMENTATION:
        return [launch]
    if kind is Kind.INTERPRETER:
        return [launch_interpreter(side, launch) for side in pair]
    assert imports is not None and worktrees is not None, "refs need a repository"  # noqa: PT018
    repository = imports.repository
    if not imports.roots and not any(repository.contains(Path(plugin)) for plugin in launch.plugins):
        raise UsageError(
            f"no loaded plugin comes from {repository.root}, so its commits cannot be compared; install the "
            "plugin from there (pip install -e .), put its folder on PYTHONPATH, or name a file with --plugin"
        )
    return [launch_ref(side, launch, imports, worktrees) for side in pair]


def launch_interpreter(side: Side, launch: Launch) -> Launch:
    """Return the launch of a worker in another interpreter, with the packages installed for it."""
    return replace(launch, path=None, interpreter=side.name)


def launch_ref(side: Side, launch: Launch, imports: Imports, worktrees: Worktrees) -> Launch:
    """Return the launch of a worker with the code of a commit and the harness of this process.

    Plugin files, the folders that plugins are imported from, and all other folders of the repository on
    sys.path are replaced by those of the commit's worktree; ignored paths, such as a virtual environment,
    stay. These folders come before installed packages, including editable installations.
    """
    repository = imports.repository
    tree = repository.root if side.name == WORKING_TREE else worktrees.checkout(side.name)
    folders = [*imports.roots, *(Path(entry).resolve() for entry in sys.path if entry)]
    relocated = [_relocate(folder, repository, tree) for folder in folders]
    path = (str(harness(worktrees.folder)), *map(str, dict.fromkeys(relocated)))
    plugins = tuple(
        str(file)
        for plugin in launch.plugins
        if (file := _relocate(Path(plugin).resolve(), repository, tree)).is_file()
    )
    return replace(launch, plugins=plugins, path=path)


def harness(folder: Path) -> Path:
    """Return a folder that contains the running harness and nothing else."""
    path = folder / "harness"
    path.mkdir(exist_ok=True)
    if not (link := path / HARNESS).is_symlink():
        link.symlink_to(Path(__file__).resolve().parents[1])
    return path


def _relocate(path: Path, repository: Repository, tree: Path) -> Path:
    """Return the path in a worktree of a path in the repository; a path outside it is returned unchanged."""
    return tree / path.relative_to(repository.root) if repository.contains(path) else path
