"""Registry: every operator and implementation there is, built in or from a stranger, by one door."""

import importlib.util
import sys
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from linbench.core.case import Case
from linbench.core.errors import UsageError, unknown
from linbench.core.implementation import LAYOUTS, CompiledFor, Function, Implementation, Launches, Restriction
from linbench.core.operator import Operator

ENTRY_POINT_GROUP = "linbench.plugins"


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be loaded; it stops nothing else.

    Attributes:
        name: Entry point or file.
        reason: One line.
        traceback: All of it.
    """

    name: str
    reason: str
    traceback: str


class Registry:
    """Operators and implementations by name."""

    def __init__(self) -> None:
        self._operators: dict[str, Operator] = {}
        self._implementations: dict[str, Implementation] = {}
        self._loaded: set[str] = set()
        self.broken: list[BrokenPlugin] = []

    def load(self, plugins: Sequence[str | Path] = ()) -> None:
        """Load every installed plugin and these files; what is loaded already is left alone.

        Each entry point of the group `linbench.plugins` names a module, or a function to call without
        arguments. One that fails is kept in `broken`.

        Raises:
            UsageError: A plugin file does not exist.
        """
        for entry in entry_points(group=ENTRY_POINT_GROUP):
            self._load(f"{entry.name} ({entry.value})", partial(_load_entry, entry))
        for plugin in plugins:
            path = Path(plugin).resolve()
            if not path.is_file():
                raise UsageError(f"--plugin {plugin}: there is no such file")
            self._load(str(path), partial(_load_file, path))

    def _load(self, name: str, load: Callable[[], object]) -> None:
        if name in self._loaded:
            return
        self._loaded.add(name)
        before = dict(self._operators), dict(self._implementations)
        try:
            load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit included
            self._operators, self._implementations = before
            line = " ".join(str(error).split())
            reason = f"{type(error).__name__}: {line}"
            self.broken.append(BrokenPlugin(name, reason, traceback.format_exc()))

    def add_operator(self, operator: Operator) -> None:
        """Add an operator.

        Raises:
            ValueError: The name is taken.
        """
        if operator.name in self._operators:
            raise ValueError(f"an operator named {operator.name!r} is registered already")
        self._operators[operator.name] = operator

    def add_implementation(self, implementation: Implementation) -> None:
        """Add an implementation.

        Raises:
            ValueError: The name is taken, or the layout is not known.
        """
        if implementation.name in self._implementations:
            other = self._implementations[implementation.name].origin
            raise ValueError(
                f"an implementation named {implementation.name!r} is registered already, by {other}"
            )
        if implementation.layout not in LAYOUTS:
            raise ValueError(f"layout {implementation.layout!r} is not one of {', '.join(LAYOUTS)}")
        implementation.find_operator = self.operator
        self._implementations[implementation.name] = implementation

    def operators(self) -> list[Operator]:
        """Return every operator, by name."""
        return sorted(self._operators.values(), key=lambda operator: operator.name)

    def implementations(self) -> list[Implementation]:
        """Return every implementation whose operator is known, by name."""
        known = (found for found in self._implementations.values() if found.operator in self._operators)
        return sorted(known, key=lambda implementation: implementation.name)

    def orphans(self) -> list[Implementation]:
        """Return the implementations of an operator that nobody registered."""
        return [found for found in self._implementations.values() if found.operator not in self._operators]

    def operator(self, name: str) -> Operator:
        """Return the operator of this name.

        Raises:
            UsageError: There is none; the nearest names are given.
        """
        if name not in self._operators:
            raise unknown("operator", name, self._operators)
        return self._operators[name]

    def implementation(self, name: str) -> Implementation:
        """Return the implementation of this full name.

        Raises:
            UsageError: There is none; the nearest names are given.
        """
        found = self._implementations.get(name)
        if found is None:
            raise unknown("implementation", name, self._implementations)
        if found.operator not in self._operators:
            raise unknown(f"operator of {name}:", found.operator, self._operators)
        return found


registry = Registry()


def implementation(
    operator: str,
    name: str,
    *,
    layout: str = "BTHD",
    differentiable: bool = True,
    unsupported_reason: Restriction | None = None,
    flops: Callable[[Case], float] | None = None,
    extra_bytes: Callable[[Case], float] | None = None,
    launches: Launches | None = None,
    compiled: CompiledFor | None = None,
) -> Callable[[Function], Implementation]:
    """Return a decorator that registers a function as an implementation's forward pass.

    The function is called with the operator's inputs in order, in `layout`, contiguous, and returns the
    output in `layout`. Options of the operator that it takes as keywords are passed when a case asks for
    them; a case that asks for one it does not take is unsupported.

    Args:
        operator: The operator that it computes, as in "linear".
        name: Its own name, as in "chunk"; the full name is linear/chunk.
        layout: BTHD (canonical), BHTD, TBHD or HBTD.
        differentiable: Whether autograd reaches the inputs.
        unsupported_reason: Returns in one line why it cannot take a case, or None; `linbench.needs` makes the
            common ones.
        flops: Operations that a call does at a case, backward among them, where they differ from the least.
        extra_bytes: Bytes that it needs at a case beside inputs and outputs; a case predicted not to fit is
            skipped.
        launches: Tells which kernels of its own it launched, where they are not Triton's; see
            `Implementation`.
        compiled: Compiles its kernels without a device, for `linbench kernels inspect`; see `Implementation`.

    Raises:
        ValueError: The full name is taken, or the layout is not known.
    """

    def register(function: Function) -> Implementation:
        made = Implementation(
            name=f"{operator}/{name}",
            operator=operator,
            layout=layout,
            functions={"fwd": function},
            differentiable=differentiable,
            restriction=unsupported_reason,
            flops=flops,
            extra_bytes=extra_bytes,
            launches=launches,
            compiled=compiled,
            summary=(function.__doc__ or "").strip().partition("\n")[0],
            origin=getattr(sys.modules.get(function.__module__), "__file__", None) or function.__module__,
        )
        registry.add_implementation(made)
        return made

    return register


def operator(cls: type[Operator]) -> type[Operator]:
    """Register an operator; a class decorator."""
    registry.add_operator(cls())
    return cls


def _load_entry(entry: EntryPoint) -> None:
    loaded = entry.load()
    if callable(loaded) and not isinstance(loaded, ModuleType):
        loaded()


def _load_file(path: Path) -> None:
    name = f"linbench_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
