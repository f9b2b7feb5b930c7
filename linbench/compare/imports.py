"""Imports: which files of a repository each implementation depends on, by static analysis."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from linbench.compare.git import Repository

HARNESS = "linbench"


class Imports:
    """The import graph of the modules of a repository that plugins reach.

    Every import statement counts, at any place in a file; imports by names that are computed at run time are
    missed. A module depends on the packages that contain it, and on the non-Python sources (.cpp, .cu, .h) in
    its own package.
    """

    def __init__(self, repository: Repository, plugins: Sequence[Path]) -> None:
        """Start from the files of implementations and those named with --plugin."""
        self.repository = repository
        self._plugins = [path.resolve() for path in plugins]
        self._dependencies: dict[Path, set[Path]] = {}
        self._folders: dict[str, Path | None] = {}

    @cached_property
    def roots(self) -> list[Path]:
        """The folders of the repository that packages are imported from, except the harness's own."""
        for path in self._plugins:
            self.closure(path)
        folders = {folder for folder in self._folders.values() if folder is not None}
        folders |= {folder for path in self._plugins if (folder := self._root_of(path)) is not None}
        return sorted(folders)

    def closure(self, path: Path) -> set[Path]:
        """Return a file and every file of the repository that it imports, directly or indirectly.

        Each module adds the `__init__.py` of the packages that contain it, and the non-Python sources in its
        folder.
        """
        files: set[Path] = set()
        queue = [path.resolve()]
        while queue:
            file = queue.pop()
            if file in files or not self.repository.contains(file):
                continue
            files.add(file)
            if file.suffix == ".py":
                queue += self._direct(file)
        return files

    def _direct(self, path: Path) -> set[Path]:
        if path not in self._dependencies:
            self._dependencies[path] = {*self._imports_of(path), *_package_files(path)}
        return self._dependencies[path]

    def _imports_of(self, path: Path) -> Iterator[Path]:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):  # the worker says what is wrong with it
            return
        for node in ast.walk(tree):
            for name in _names(node, path):
                yield from self._files(name)

    def _files(self, name: str) -> Iterator[Path]:
        """Yield the file that a dotted name refers to, and the packages that contain it."""
        top, *rest = name.split(".")
        folder = self._folder(top)
        if folder is None:
            return
        path = folder
        for part in (top, *rest):
            path = path / part
            if (module := path.with_name(path.name + ".py")).is_file():
                yield module.resolve()
                return
            if (package := path / "__init__.py").is_file():
                yield package.resolve()

    def _folder(self, top: str) -> Path | None:
        """Return the folder of the repository that a top-level module is imported from, or None."""
        if top not in self._folders:
            self._folders[top] = None
            if top != HARNESS and top not in sys.stdlib_module_names:
                origin = _origin(top)
                if origin is not None and self.repository.contains(origin):
                    parent = origin.parent
                    self._folders[top] = parent.parent if origin.name == "__init__.py" else parent
        return self._folders[top]

    def _root_of(self, path: Path) -> Path | None:
        """Return the folder that the package of a file is imported from, or None if it is in no package."""
        folder = path.parent
        if not self.repository.contains(path) or not (folder / "__init__.py").is_file():
            return None
        while (folder / "__init__.py").is_file():
            folder = folder.parent
        return folder


def _origin(top: str) -> Path | None:
    try:
        spec = PathFinder.find_spec(top) or find_spec(top)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin and spec.has_location else None


def _names(node: ast.AST, path: Path) -> Iterable[str]:
    """Return the dotted names that a statement imports; a name imported from a package may be a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            module = ".".join(filter(None, [_package(path, node.level), module]))
        return [f"{module}.{alias.name}" for alias in node.names] if module else []
    return []


def _package(path: Path, level: int) -> str:
    """Return the dotted name of the package that a relative import with `level` dots refers to."""
    folder = path.parent
    for _ in range(level - 1):
        folder = folder.parent
    parts: list[str] = []
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _package_files(path: Path) -> Iterator[Path]:
    """Yield the `__init__.py` of the packages that contain a file, and its folder's non-Python sources."""
    folder = path.parent
    if (folder / "__init__.py").is_file():
        for source in folder.iterdir():
            if source.is_file() and source.suffix not in (".py", ".pyc", ".pyi"):
                yield source.resolve()
    while (folder / "__init__.py").is_file():
        yield (folder / "__init__.py").resolve()
        folder = folder.parent
