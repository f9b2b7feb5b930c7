"""Phase: a part of a call, which is a range with the same name in every tool."""

from __future__ import annotations


def phases(implementation: str, mode: str) -> dict[str, str]:
    """Return the phase of each range of a call, by name: operator/implementation and phase."""
    names = ("fwd", "bwd") if mode == "fwd_bwd" else (mode,)
    return {f"{implementation} {name}": name for name in names}
