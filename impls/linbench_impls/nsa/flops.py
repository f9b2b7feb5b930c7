"""Operations of native sparse attention, by masks and by gathering blocks."""

from __future__ import annotations

from linbench import Case
from linbench_impls.nsa.branches import BLOCK, COUNT, WINDOW
from linbench_impls.toolkit import flops


def blocks(case: Case, rows: int, keys: int) -> float:
    """Return the operations of attention over means of blocks, and of the selection, without gradient."""
    scores = rows * (keys // BLOCK)
    return flops.pairs(case, scores) + 2 * case.B * case.H * scores * case.K


def by_masks(case: Case, rows: int, keys: int) -> float:
    """Return the operations of two branches over all keys, including masked ones, and of blocks."""
    return blocks(case, rows, keys) + flops.pairs(case, 2 * rows * keys)


def by_gathering(case: Case) -> float:
    """Return the operations of blocks, of the gathered keys of each token, and of two windows of keys."""
    selected_keys = min(COUNT, -(-case.T // BLOCK)) * BLOCK
    windows = -(-case.T // WINDOW) * WINDOW * 2 * WINDOW
    return blocks(case, case.T, case.T) + flops.pairs(case, case.T * selected_keys + windows)


def least(case: Case) -> float:
    """Return the operations of all branches at the visible pairs, without those of the block selection."""
    if case.mode == "decode":
        return flops.pairs(case, visible_keys(case.T + 1))
    return flops.pairs(case, sum(visible_keys(tokens) for tokens in range(1, case.T + 1)))


def visible_keys(tokens: int) -> int:
    """Return the number of means, of keys of selected blocks and of window keys that the last token sees."""
    selected_keys = tokens if tokens <= COUNT * BLOCK else (COUNT - 1) * BLOCK + (tokens - 1) % BLOCK + 1
    return tokens // BLOCK + selected_keys + min(tokens, WINDOW)
