"""transnormer/chunk: products inside a chunk, sums of states between chunks, then the norm."""

from functools import partial

from linbench import Case
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.toolkit.transition import SCALAR_CHUNK, chunk_bytes
from linbench_impls.transnormer.forms import chunked


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, in the masked half of a chunk too."""
    return flops.chunked(case, case.K, case.V, SCALAR_CHUNK)


register(
    "transnormer",
    "chunk",
    chunked,
    layout="BHTD",
    flops=chunk_flops,
    extra_bytes=partial(chunk_bytes, size=SCALAR_CHUNK, matrices=1, gates=1),
)
