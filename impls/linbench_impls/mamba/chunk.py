"""mamba/chunk: every chunk walked at once from zero, and again from the state that it begins in."""

from linbench import Case
from linbench_impls.mamba.forms import chunked
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.toolkit.scan import SCAN_CHUNK


def chunk_flops(case: Case) -> float:
    """Return the operations of two walks of three products, the readout, and what carries over each chunk.

    In backward every exponent is one product more. The first walk is for the states after chunks.
    """
    made, _ = flops.state_passes(case, SCAN_CHUNK)
    first = 3 * made + (made > 1)
    second = 4 * flops.passes(case) + flops.differentiated(case)
    carried = 2 * made + (made > 1)
    tokens = flops.chunk_tokens(case, SCAN_CHUNK)
    return 2 * tokens * case.H * case.K * case.V * (first + second + carried / SCAN_CHUNK)


def extra_bytes(case: Case) -> float:
    """Return the bytes of the states of every chunk, or in fwd_bwd of every token, of both walks."""
    states = 8 if case.mode == "fwd_bwd" else 6 / SCAN_CHUNK
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * (states * case.K * case.V + 4 * case.V)


register("mamba", "chunk", chunked, layout="BHTD", flops=chunk_flops, extra_bytes=extra_bytes)
