"""Imports: which files of a repository each implementation is made of, found without running them."""

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
    """The modules of a repository that plugins reach, and which imports which.

    Every import statement counts, wherever in a file it stands; names that are made up at run time are not
    seen. A package counts with each of its modules. Sources that are not Python (.cpp, .cu, .h) count for the
    modules of the package that they lie in.
    """

    def __init__(self, repository: Repository, plugins: Sequence[Path]) -> None:
        """Begin at some files: those of implementations, and those named with --plugin."""
        self.repository = repository
        self._plugins = [path.resolve() for path in plugins]
        self._known: dict[Path, set[Path]] = {}
        self._tops: dict[str, Path | None] = {}

    @cached_property
    def roots(self) -> list[Path]:
        """The folders of the repository that packages are imported from, the harness's own left out."""
        for path in self._plugins:
            self.closure(path)
        folders = {folder for folder in self._tops.values() if folder is not None}
        folders |= {folder for path in self._plugins if (folder := self._root_of(path)) is not None}
        return sorted(folders)

    def closure(self, path: Path) -> set[Path]:
        """Return a file and every file of the repository that it imports, directly or not.

        With a module come the `__init__.py` of the packages that it lies in, and the sources beside it that
        are not Python.
        """
        found: set[Path] = set()
        left = [path.resolve()]
        while left:
            each = left.pop()
            if each in found or not self.repository.holds(each):
                continue
            found.add(each)
            if each.suffix == ".py":
                left += self._direct(each)
        return found

    def _direct(self, path: Path) -> set[Path]:
        if path not in self._known:
            self._known[path] = {*self._imported(path), *_around(path)}
        return self._known[path]

    def _imported(self, path: Path) -> Iterator[Path]:
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):  # the worker says what is wrong with it
            return
        for node in ast.walk(tree):
            for name in _names(node, path):
                yield from self._files(name)

    def _files(self, name: str) -> Iterator[Path]:
        """Yield the file that a dotted name means, and the packages around it."""
        top, *rest = name.split(".")
        folder = self._folder(top)
        if folder is None:
            return
        place = folder
        for part in (top, *rest):
            place = place / part
            if (module := place.with_name(place.name + ".py")).is_file():
                yield module.resolve()
                return
            if (package := place / "__init__.py").is_file():
                yield package.resolve()

    def _folder(self, top: str) -> Path | None:
        """Return the folder of the repository that a top-level module is imported from, or None."""
        if top not in self._tops:
            self._tops[top] = None
            if top != HARNESS and top not in sys.stdlib_module_names:
                origin = _origin(top)
                if origin is not None and self.repository.holds(origin):
                    parent = origin.parent
                    self._tops[top] = parent.parent if origin.name == "__init__.py" else parent
        return self._tops[top]

    def _root_of(self, path: Path) -> Path | None:
        """Return the folder that the package of a file is imported from, or None if it is in no package."""
        folder = path.parent
        if not self.repository.holds(path) or not (folder / "__init__.py").is_file():
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
    """Return the dotted names that a statement imports; a name from a package may be a module of it."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            module = ".".join(filter(None, [_package(path, node.level), module]))
        return [f"{module}.{alias.name}" for alias in node.names] if module else []
    return []


def _package(path: Path, level: int) -> str:
    """Return the dotted name of the package that a relative import of so many dots means."""
    folder = path.parent
    for _ in range(level - 1):
        folder = folder.parent
    parts: list[str] = []
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _around(path: Path) -> Iterator[Path]:
    """Yield the packages that a file lies in, and the sources beside it that are not Python."""
    folder = path.parent
    if (folder / "__init__.py").is_file():
        for beside in folder.iterdir():
            if beside.is_file() and beside.suffix not in (".py", ".pyc", ".pyi"):
                yield beside.resolve()
    while (folder / "__init__.py").is_file():
        yield (folder / "__init__.py").resolve()
        folder = folder.parent
