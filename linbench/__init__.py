"""linbench: how fast, how much memory and how wrong is each way of computing attention.

For a plugin: `implementation`, `operator`, `Operator`, `TensorSpec`, `Option`, `Cost`, `Case`, `Inputs`,
`Expected`, `needs`. For a notebook: `get`, `run`, `load`.
"""

from typing import TYPE_CHECKING, Any

from linbench.core.case import Case
from linbench.core.implementation import needs
from linbench.core.operator import Cost, Operator, Option
from linbench.core.registry import implementation, operator
from linbench.core.tensor import Expected, Inputs, TensorSpec

if TYPE_CHECKING:
    from linbench.api import get, load, run

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


def __getattr__(name: str) -> Any:
    if name in ("get", "load", "run"):
        from linbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'linbench' has no attribute {name!r}")
