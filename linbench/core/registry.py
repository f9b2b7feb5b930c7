"""Registry: every operator and implementation, built in or from a plugin, behind one interface."""

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
    """A plugin that could not be loaded; the others still work.

    Attributes:
        name: Entry point or file.
        reason: One line.
        traceback: The full traceback.
    """

    name: str
    reason: str
    traceback: str


class Registry:
    """Operators and implementations by name."""

    def __init__(self) -> None:
        self._operators: dict[str, Operator] = {}
        self._implementations: dict[str, Implementation] = {}
        self._plugin_names: set[str] = set()
        self.broken: list[BrokenPlugin] = []

    def load(self, plugins: Sequence[str | Path] = ()) -> None:
        """Load every installed plugin and these files; a plugin that is already loaded is skipped.

        Each entry point of the group `linbench.plugins` names a module, or a function to call without
        arguments. Plugins that fail are listed in `broken`.

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
        if name in self._plugin_names:
            return
        self._plugin_names.add(name)
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
            ValueError: The name is already in use.
        """
        if operator.name in self._operators:
            raise ValueError(f"an operator named {operator.name!r} is already registered")
        self._operators[operator.name] = operator

    def add_implementation(self, implementation: Implementation) -> None:
        """Add an implementation.

        Raises:
            ValueError: The name is already in use, or the layout is not known.
        """
        if implementation.name in self._implementations:
            origin = self._implementations[implementation.name].origin
            raise ValueError(
                f"an implementation named {implementation.name!r} is already registered, by {origin}"
            )
        if implementation.layout not in LAYOUTS:
            raise ValueError(f"layout {implementation.layout!r} is not one of {', '.join(LAYOUTS)}")
        implementation.find_operator = self.operator
        self._implementations[implementation.name] = implementation

    def operators(self) -> list[Operator]:
        """Return every operator, sorted by name."""
        return sorted(self._operators.values(), key=lambda operator: operator.name)

    def implementations(self) -> list[Implementation]:
        """Return every implementation whose operator is registered, sorted by name."""
        usable = [entry for entry in self._implementations.values() if entry.operator in self._operators]
        return sorted(usable, key=lambda implementation: implementation.name)

    def orphans(self) -> list[Implementation]:
        """Return the implementations whose operator is not registered."""
        return [entry for entry in self._implementations.values() if entry.operator not in self._operators]

    def operator(self, name: str) -> Operator:
        """Return the operator of this name.

        Raises:
            UsageError: The name is unknown; the message suggests similar ones.
        """
        if name not in self._operators:
            raise unknown("operator", name, self._operators)
        return self._operators[name]

    def implementation(self, name: str) -> Implementation:
        """Return the implementation of this full name.

        Raises:
            UsageError: The name is unknown; the message suggests similar ones.
        """
        implementation = self._implementations.get(name)
        if implementation is None:
            raise unknown("implementation", name, self._implementations)
        if implementation.operator not in self._operators:
            raise unknown(f"operator of {name}:", implementation.operator, self._operators)
        return implementation


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

    The function is called with the operator's inputs in order, contiguous and in `layout`, and returns the
    output in `layout`. The options of a case are passed as keyword arguments; a case with an option that the
    function does not accept is unsupported.

    Args:
        operator: The operator that it computes, as in "linear".
        name: Its own name, as in "chunk"; the full name is linear/chunk.
        layout: BTHD (canonical), BHTD, TBHD or HBTD.
        differentiable: Whether autograd reaches the inputs.
        unsupported_reason: Function that returns in one line why it does not support a case, or None;
            `linbench.needs` covers the common reasons.
        flops: Operations of a call at a case, including backward, where they differ from the least.
        extra_bytes: Bytes that it needs at a case besides inputs and outputs; a case predicted not to fit is
            skipped.
        launches: Context manager that records the kernels that it launches, where they are not Triton's; see
            `Implementation`.
        compiled: Compiles its kernels without a device, for `linbench kernels inspect`; see `Implementation`.

    Raises:
        ValueError: The full name is already in use, or the layout is not known.
    """

    def register(function: Function) -> Implementation:
        result = Implementation(
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
        registry.add_implementation(result)
        return result

    return register


def operator(cls: type[Operator]) -> type[Operator]:
    """Register an operator; a class decorator."""
    registry.add_operator(cls())
    return cls


def _load_entry(entry: EntryPoint) -> None:
    target = entry.load()
    if callable(target) and not isinstance(target, ModuleType):
        target()


def _load_file(path: Path) -> None:
    name = f"linbench_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
