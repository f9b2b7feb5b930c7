"""linbench: measures the time, the memory and the numerical error of attention implementations.

For a plugin: `implementation`, `operator`, `Operator`, `TensorSpec`, `Option`, `Cost`, `Case`, `Inputs`,
`Expected`, `needs`. For a notebook: `get`, `run`, `load`, `Grid`, `Settings`, `Measurement`, `Status`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linbench.api import get, load, run
    from linbench.core.case import Case
    from linbench.core.grid import Grid
    from linbench.core.implementation import needs
    from linbench.core.measurement import Measurement, Status
    from linbench.core.operator import Cost, Operator, Option
    from linbench.core.plan import Settings
    from linbench.core.registry import implementation, operator
    from linbench.core.tensor import Expected, Inputs, TensorSpec

__version__ = "0.1.0"
__all__ = [
    "Case",
    "Cost",
    "Expected",
    "Grid",
    "Inputs",
    "Measurement",
    "Operator",
    "Option",
    "Settings",
    "Status",
    "TensorSpec",
    "get",
    "implementation",
    "load",
    "needs",
    "operator",
    "run",
]

_MODULES = {  # imported on first access: pytest imports this package at every start, for its plugin
    "linbench.api": ("get", "load", "run"),
    "linbench.core.case": ("Case",),
    "linbench.core.grid": ("Grid",),
    "linbench.core.implementation": ("needs",),
    "linbench.core.measurement": ("Measurement", "Status"),
    "linbench.core.operator": ("Cost", "Operator", "Option"),
    "linbench.core.plan": ("Settings",),
    "linbench.core.registry": ("implementation", "operator"),
    "linbench.core.tensor": ("Expected", "Inputs", "TensorSpec"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'linbench' has no attribute {name!r}")
