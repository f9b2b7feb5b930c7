"""Span: one event of a trace of torch's profiler."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from linbench.measure.trace import KinetoEvent

ITEM_BYTES = {
    **{"double": 8, "float": 4, "c10::Half": 2, "c10::BFloat16": 2},
    **{"long int": 8, "long": 8, "int": 4, "short": 2, "bool": 1, "unsigned char": 1, "signed char": 1},
}
MEMORY = "[memory]"
LAUNCHES = ("cuda_runtime", "cuda_driver")
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")


@dataclass(frozen=True)
class Span:
    """One event of a trace.

    Attributes:
        name: Name of the operator, range or kernel.
        source: Activity type in kineto: cpu_op, user_annotation, cuda_runtime, kernel, ...
        thread: Number of the host thread.
        start_ns: Start time on the profiler's clock.
        end_ns: End time on the same clock.
        correlation: Identifier that a kernel shares with the driver call that launched it.
        flops: Operations counted by torch; 0 where it does not count them.
        argument_bytes: Size of its tensor arguments.
        allocated_bytes: For a memory event, the allocated bytes; negative if freed.
    """

    name: str
    source: str
    thread: int
    start_ns: int
    end_ns: int
    correlation: int = 0
    flops: int = 0
    argument_bytes: int = 0
    allocated_bytes: int = 0


def spans(events: Iterable[KinetoEvent]) -> list[Span]:
    """Return the events of kineto, torch's profiler, as spans."""
    trace = []
    for event in events:
        name, start_ns = event.name(), event.start_ns()
        trace.append(
            Span(
                name=name,
                source=event.activity_type(),
                thread=event.start_thread_id(),
                start_ns=start_ns,
                end_ns=start_ns + event.duration_ns(),
                correlation=event.correlation_id(),
                flops=event.flops(),
                argument_bytes=_bytes(event.shapes(), event.dtypes()),
                allocated_bytes=event.nbytes() if name == MEMORY else 0,
            )
        )
    return trace


def _bytes(shapes: Sequence[Sequence[int]], dtypes: Sequence[str]) -> int:
    """Return the size of tensor arguments; an argument without a shape is a scalar and does not count."""
    return sum(
        math.prod(shape) * ITEM_BYTES.get(dtype, 0)
        for shape, dtype in zip(shapes, dtypes, strict=False)
        if shape and all(isinstance(size, int) for size in shape)
    )
