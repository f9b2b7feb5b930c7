"""mlstm/chunk: weighted products inside a chunk, states between chunks, the running maximum by a scan."""

from functools import partial

from linbench import Case
from linbench_impls.mlstm.forms import chunked
from linbench_impls.toolkit import flops
from linbench_impls.toolkit.register import register
from linbench_impls.toolkit.transition import SCALAR_CHUNK, chunk_bytes


def chunk_flops(case: Case) -> float:
    """Return the operations of the chunked form, n as one more value, in the masked half of a chunk too."""
    return flops.chunked(case, case.K, case.V + 1, SCALAR_CHUNK)


register(
    "mlstm",
    "chunk",
    chunked,
    layout="BHTD",
    flops=chunk_flops,
    extra_bytes=partial(chunk_bytes, size=SCALAR_CHUNK, matrices=1, gates=1),
)
