"""Operation counts of forms: the formulas by which every torch implementation declares its flops.

Products count as one multiplication and one addition per pair of numbers: matrix products, 2 m n k, with
their masked half where it is computed; rank-one updates; inner products that are written out; elementwise
products with a state, the main operation of S6. A triangular system of C rows counts C^2 per right-hand
side. Decays, weights of scores, exponents, norms, softmax, sums, and work that grows with K or V alone, such
as a normaliser or the gate of a key, are not counted. docs/reference/profiles.md has the same rules.
"""

from __future__ import annotations

from linbench import Case


def has_backward(case: Case) -> bool:
    """Return whether a call includes the backward pass."""
    return case.mode == "fwd_bwd"


def passes(case: Case) -> int:
    """Return how often a call computes a product: in fwd_bwd the gradient of each factor is as large."""
    return 3 if has_backward(case) else 1


def starts_from_state(case: Case) -> bool:
    """Return whether a call starts from a state."""
    return case.mode == "decode" or bool(case.options.get("initial_state", False))


def row_tokens(case: Case) -> int:
    """Return how many tokens of each sequence a call processes."""
    return case.tokens // case.B


def chunk_tokens(case: Case, size: int) -> int:
    """Return the tokens of a call when every sequence is padded to whole chunks."""
    return case.B * -(-row_tokens(case) // size) * size


def pairs(case: Case, count: float) -> float:
    """Return the operations of Q K^T and of the weights times V, for `count` pairs of tokens in each head."""
    return 2 * case.B * case.H * count * (case.K + case.V) * passes(case)


def parallel(case: Case, keys: int, values: int) -> float:
    """Return the operations of (Q K^T * weights) V on full matrices, and of Q S if there is an initial state.

    Args:
        case: The case.
        keys: Dimension of a key.
        values: Dimension of a value.
    """
    tokens = row_tokens(case)
    state = keys * values if starts_from_state(case) else 0
    return 2 * case.tokens * case.H * (tokens * (keys + values) + state) * passes(case)


def last_state(case: Case, keys: int, values: int) -> float:
    """Return the operations of K^T V, the state after the last token, on which no output depends."""
    return 2 * case.tokens * case.H * keys * values


def state_passes(case: Case, size: int) -> tuple[int, int]:
    """Return how often a call computes the states after chunks, and how often it reads those before chunks.

    In fwd_bwd the output of a single chunk depends on no state after it, and the state before it is a
    constant unless there is an initial state.
    """
    if row_tokens(case) > size or not has_backward(case):
        return passes(case), passes(case)
    return 1, 3 if starts_from_state(case) else 2


def chunked(case: Case, keys: int, values: int, size: int) -> float:
    """Return the operations of linear attention in chunks of a given size.

    Each chunk has K^T V, the product of Q and the state before it, and the products of the parallel form.
    """
    writes, reads = state_passes(case, size)
    token = 2 * keys * values * (writes + reads) + 2 * size * (keys + values) * passes(case)
    return chunk_tokens(case, size) * case.H * token


def recurrent(case: Case, keys: int, values: int, products: int = 2, gated: bool = False) -> float:
    """Return the operations of T steps, or of one step in decode.

    Args:
        case: The case.
        keys: Dimension of a key.
        values: Dimension of a value.
        products: Products of the size of a state in each step: the update and the readout, and two more for a
            low-rank transition.
        gated: Whether decays are inputs; the gradient of each is an inner product with a state.
    """
    count = products * passes(case) + (gated and has_backward(case))
    return 2 * case.tokens * case.H * keys * values * count


def low_rank(case: Case, size: int) -> float:
    """Return the operations of the chunked WY form in chunks of a given size.

    Each chunk has four C x C matrices and the products of three of them, the triangular system, which the
    backward pass solves once more and multiplies once, the products for the state after the chunk, and the
    reads of the state before it. W is applied to each state; the last state is not needed in fwd_bwd, and
    the first has a gradient only if it is an input.
    """
    K, V = case.K, case.V
    writes, reads = state_passes(case, size)
    inside = (8 * size * K + 6 * size * V) * passes(case)
    system = size * (K + V) * (4 if has_backward(case) else 1)
    states = (4 * K * V + 2 * K**2) * writes + 4 * K * V * reads
    tokens = chunk_tokens(case, size)
    chunks = tokens // size // case.B
    transitions = chunks + (chunks - 1 + max(0, chunks - 2 + starts_from_state(case))) * has_backward(case)
    return case.H * (tokens * (inside + system + states) + case.B * transitions * 2 * K**2 * V)


def least(case: Case, keys: int, values: int) -> float:
    """Return the operations of the cheaper form of linear attention: recurrent, or parallel over pairs.

    The pairs are T (T + 1) / 2; prefill adds the last state.
    """
    step = 4 * keys * values
    over_pairs = (row_tokens(case) + 1) * (keys + values) + (
        2 * keys * values if case.mode == "prefill" else 0
    )
    token = step if starts_from_state(case) else min(step, over_pairs)
    return case.tokens * case.H * token * passes(case)
