"""Phase: a part of a call; every tool sees it as a range of one name."""

from __future__ import annotations


def phases(implementation: str, mode: str) -> dict[str, str]:
    """Return the phase of each range of a call, by name: operator/implementation and phase."""
    names = ("fwd", "bwd") if mode == "fwd_bwd" else (mode,)
    return {f"{implementation} {name}": name for name in names}
