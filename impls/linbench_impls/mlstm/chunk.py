"""mlstm/chunk: weighted products inside a chunk, states between chunks, the running maximum by a scan."""

from functools import partial

from linbench_impls.forms.dplr import SCALAR_CHUNK, chunk_bytes, diagonal_flops
from linbench_impls.forms.register import register
from linbench_impls.mlstm.forms import chunked

register(
    "mlstm",
    "chunk",
    chunked,
    layout="BHTD",
    flops=partial(diagonal_flops, size=SCALAR_CHUNK),
    extra_bytes=partial(chunk_bytes, size=SCALAR_CHUNK, matrices=1, gates=1),
)
