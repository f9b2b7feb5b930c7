"""Operations of forms: what every implementation in torch declares that it does, counted alike.

Counted are products, a multiplication and an addition for each pair of numbers that meet: products of
matrices, 2 m n k, their masked half where it is computed; updates of rank one; inner products that are
written out; products of a state with what has a number for each of its own, of which S6 consists. A
triangular system of C rows is C^2 for each right side. Not counted are decays, weights of scores, exponents,
norms, softmax, sums, and what grows with K or V alone, as a normaliser or the gate of a key does.
docs/reference/profiles.md says the same.
"""

from __future__ import annotations

from linbench import Case


def differentiated(case: Case) -> bool:
    """Return whether a call also does the work of backward."""
    return case.mode == "fwd_bwd"


def passes(case: Case) -> int:
    """Return how often a call does a product: in fwd_bwd both factors' gradients are as large as itself."""
    return 3 if differentiated(case) else 1


def given_state(case: Case) -> bool:
    """Return whether a call starts from a state."""
    return case.mode == "decode" or bool(case.options.get("initial_state", False))


def row_tokens(case: Case) -> int:
    """Return the tokens of each sequence that a call processes."""
    return case.tokens // case.B


def chunk_tokens(case: Case, size: int) -> int:
    """Return the tokens of a call when every sequence is filled up to whole chunks."""
    return case.B * -(-row_tokens(case) // size) * size


def pairs(case: Case, count: float) -> float:
    """Return the operations of scores and of weights by values, for so many pairs of tokens in each head."""
    return 2 * case.B * case.H * count * (case.K + case.V) * passes(case)


def parallel(case: Case, keys: int, values: int) -> float:
    """Return the operations of (Q K^T * weights) V, whole matrices, and of Q S where a state is given.

    Args:
        case: Where.
        keys: Numbers of a key.
        values: Numbers of a value.
    """
    tokens = row_tokens(case)
    state = keys * values if given_state(case) else 0
    return 2 * case.tokens * case.H * (tokens * (keys + values) + state) * passes(case)


def last_state(case: Case, keys: int, values: int) -> float:
    """Return the operations of K^T V, the state after the last token; no output depends on it."""
    return 2 * case.tokens * case.H * keys * values


def state_passes(case: Case, size: int) -> tuple[int, int]:
    """Return how often a call makes the states after chunks of a size, and how often it reads those before.

    In fwd_bwd one chunk alone makes none that the output depends on, and reads a constant unless it is given
    a state.
    """
    if row_tokens(case) > size or not differentiated(case):
        return passes(case), passes(case)
    return 1, 3 if given_state(case) else 2


def chunked(case: Case, keys: int, values: int, size: int) -> float:
    """Return the operations of linear attention in chunks of a size.

    In each chunk K^T V, the product of Q and the state before it, and those of the parallel form.
    """
    made, read = state_passes(case, size)
    token = 2 * keys * values * (made + read) + 2 * size * (keys + values) * passes(case)
    return chunk_tokens(case, size) * case.H * token


def recurrent(case: Case, keys: int, values: int, products: int = 2, gated: bool = False) -> float:
    """Return the operations of T steps, of one in decode.

    Args:
        case: Where.
        keys: Numbers of a key.
        values: Numbers of a value.
        products: Of a state's size in each step: the update and the readout, and two for a low rank.
        gated: Decays are inputs; the gradient of each is an inner product with a state.
    """
    count = products * passes(case) + (gated and differentiated(case))
    return 2 * case.tokens * case.H * keys * values * count


def low_rank(case: Case, size: int) -> float:
    """Return the operations of the chunked WY form in chunks of a size.

    In each chunk four C x C matrices and what three of them multiply, the triangular system, which backward
    solves once more and makes one product of, what the state after it is made of, and what the state before
    it is read for. W is applied to each state: the last is not asked for, the first has a gradient if given.
    """
    K, V = case.K, case.V
    made, read = state_passes(case, size)
    inside = (8 * size * K + 6 * size * V) * passes(case)
    solved = size * (K + V) * (4 if differentiated(case) else 1)
    states = (4 * K * V + 2 * K**2) * made + 4 * K * V * read
    tokens = chunk_tokens(case, size)
    chunks = tokens // size // case.B
    moved = chunks + (chunks - 1 + max(0, chunks - 2 + given_state(case))) * differentiated(case)
    return case.H * (tokens * (inside + solved + states) + case.B * moved * 2 * K**2 * V)


def least(case: Case, keys: int, values: int) -> float:
    """Return the work of linear attention in its cheaper form: token by token, or over pairs of tokens.

    Pairs are half of T x T; in prefill the last state comes beside them.
    """
    step = 4 * keys * values
    over_pairs = row_tokens(case) * (keys + values) + (2 * keys * values if case.mode == "prefill" else 0)
    token = step if given_state(case) else min(step, over_pairs)
    return case.tokens * case.H * token * passes(case)
