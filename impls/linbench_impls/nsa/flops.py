"""Operations of native sparse attention, by masks and with blocks gathered."""

from __future__ import annotations

from linbench import Case
from linbench_impls.nsa.branches import BLOCK, COUNT, WINDOW
from linbench_impls.toolkit import flops


def blocks(case: Case, rows: int, keys: int) -> float:
    """Return the operations of attention over means of blocks, and of the selection, without gradient."""
    met = rows * (keys // BLOCK)
    return flops.pairs(case, met) + 2 * case.B * case.H * met * case.K


def by_masks(case: Case, rows: int, keys: int) -> float:
    """Return the operations of two branches over all keys, masked ones among them, and of blocks."""
    return blocks(case, rows, keys) + flops.pairs(case, 2 * rows * keys)


def gathered(case: Case) -> float:
    """Return the operations of blocks, of the keys gathered for each token, and of two windows of keys."""
    chosen = min(COUNT, -(-case.T // BLOCK)) * BLOCK
    windows = -(-case.T // WINDOW) * WINDOW * 2 * WINDOW
    return blocks(case, case.T, case.T) + flops.pairs(case, case.T * chosen + windows)


def least(case: Case) -> float:
    """Return the work of all branches at the pairs that are seen, the selection not counted."""
    if case.mode == "decode":
        return flops.pairs(case, seen(case.T + 1))
    return flops.pairs(case, sum(seen(tokens) for tokens in range(1, case.T + 1)))


def seen(tokens: int) -> int:
    """Return what the last of so many tokens sees: means, keys of selected blocks, and the window."""
    chosen = tokens if tokens <= COUNT * BLOCK else (COUNT - 1) * BLOCK + (tokens - 1) % BLOCK + 1
    return tokens // BLOCK + chosen + min(tokens, WINDOW)
