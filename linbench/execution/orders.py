"""Orders: the requests to a zygote, each one JSON object."""

from __future__ import annotations

from dataclasses import dataclass

from linbench.core.bounds import CLOSED


@dataclass(frozen=True)
class ForkOrder:
    """Fork a worker; three descriptors come with the order: to read, to write, and for the worker's output.

    Attributes:
        path: Module path of the worker; None for that of the zygote.
        plugins: Plugin files to load in addition to the installed plugins.
    """

    __pydantic_config__ = CLOSED

    path: tuple[str, ...] | None
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class WaitOrder:
    """Wait for a worker by its process id, and return its exit code."""

    __pydantic_config__ = CLOSED

    pid: int


@dataclass(frozen=True)
class Order:
    """Exactly one of the two orders."""

    __pydantic_config__ = CLOSED

    fork: ForkOrder | None = None
    wait: WaitOrder | None = None
