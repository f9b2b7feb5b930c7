"""Orders: what a zygote can be asked, each as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass

from linbench.core.bounds import CLOSED


@dataclass(frozen=True)
class ForkOrder:
    """Fork a worker; three descriptors come with it: to read, to write, and for its output.

    Attributes:
        path: Where it finds modules; None for where the zygote does.
        plugins: Files that it loads beside what is installed.
    """

    __pydantic_config__ = CLOSED

    path: tuple[str, ...] | None
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class WaitOrder:
    """Wait for a worker of a number, and tell its exit code."""

    __pydantic_config__ = CLOSED

    pid: int


@dataclass(frozen=True)
class Order:
    """One of the two."""

    __pydantic_config__ = CLOSED

    fork: ForkOrder | None = None
    wait: WaitOrder | None = None
