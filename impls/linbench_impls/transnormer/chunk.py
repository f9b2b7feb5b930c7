"""transnormer/chunk: products inside a chunk, sums of states between chunks, then the norm."""

from functools import partial

from linbench_impls.forms.dplr import SCALAR_CHUNK, chunk_bytes, diagonal_flops
from linbench_impls.forms.register import register
from linbench_impls.transnormer.forms import chunked

chunk = register(
    "transnormer",
    "chunk",
    chunked,
    layout="BHTD",
    flops=partial(diagonal_flops, size=SCALAR_CHUNK),
    extra_bytes=partial(chunk_bytes, size=SCALAR_CHUNK, matrices=1, gates=1),
)
