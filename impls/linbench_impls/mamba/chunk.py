"""mamba/chunk: every chunk walked at once from zero, and again from the state that it begins in."""

from linbench import Case
from linbench_impls.forms.register import register
from linbench_impls.forms.scan import SCAN_CHUNK
from linbench_impls.mamba.forms import chunked


def flops(case: Case) -> float:
    """Return the operations of two walks over T tokens."""
    return 13 * case.tokens * case.H * case.K * case.V


def extra_bytes(case: Case) -> float:
    """Return the bytes of the states of every chunk, or in fwd_bwd of every token, of both walks."""
    states = 8 if case.mode == "fwd_bwd" else 6 / SCAN_CHUNK
    width = max(4, case.item_bytes)
    return width * case.tokens * case.H * (states * case.K * case.V + 4 * case.V)


register("mamba", "chunk", chunked, layout="BHTD", flops=flops, extra_bytes=extra_bytes)
