"""linbench: how fast, how much memory and how wrong is each way of computing attention.

For a plugin: `implementation`, `operator`, `Operator`, `TensorSpec`, `Option`, `Cost`, `Case`, `Inputs`,
`Expected`, `needs`. For a notebook: `get`, `run`, `load`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linbench.api import get, load, run
    from linbench.core.case import Case
    from linbench.core.implementation import needs
    from linbench.core.operator import Cost, Operator, Option
    from linbench.core.registry import implementation, operator
    from linbench.core.tensor import Expected, Inputs, TensorSpec

__version__ = "0.1.0"
__all__ = [
    "Case",
    "Cost",
    "Expected",
    "Inputs",
    "Operator",
    "Option",
    "TensorSpec",
    "get",
    "implementation",
    "load",
    "needs",
    "operator",
    "run",
]

_MODULES = {  # loaded when first asked for: pytest loads this package at every start, for its plugin
    "linbench.api": ("get", "load", "run"),
    "linbench.core.case": ("Case",),
    "linbench.core.implementation": ("needs",),
    "linbench.core.operator": ("Cost", "Operator", "Option"),
    "linbench.core.registry": ("implementation", "operator"),
    "linbench.core.tensor": ("Expected", "Inputs", "TensorSpec"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'linbench' has no attribute {name!r}")
