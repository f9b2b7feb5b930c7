"""A plugin: an operator and faulty implementations of it, each of which does one thing wrong."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from linbench import Case, Cost, Operator, TensorSpec, implementation, needs, operator
from linbench.core.case import Scalar
from linbench.selftest import NAP_S

SLEEP_S = 0.005
LATE_S = 2.0  # much longer than the harness can need from the end of a call to the copy of its result
SPIN_CYCLES = 4_000_000_000  # about 2 s, likewise
EATEN_BYTES = 3 * 2**29

CACHE: dict[int, Tensor] = {}
GRAPHS: dict[int, tuple[Any, Tensor]] = {}
LEAKED: list[Tensor] = []
LEFT: dict[str, object] = {}
RANDOM_NUMBERS: list[Tensor] = []
CALLS = {"wavers": 0}
SETTINGS = (torch.get_default_dtype(), torch.get_num_threads(), torch.get_float32_matmul_precision())


@operator
class PlantedOperator(Operator):
    """Causal product: o_t = sum_{u <= t} (q_t . k_u) v_u."""

    name = "planted"
    title = "Causal product with planted faults"
    complexity = "O(T^2)"
    inputs = (TensorSpec("q", "BTHK"), TensorSpec("k", "BTHK"), TensorSpec("v", "BTHV"))

    def reference(
        self, tensors: Mapping[str, Tensor], state: tuple[Tensor, ...] | None, options: Mapping[str, Scalar]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output; there is no state."""
        return causal_product(tensors["q"], tensors["k"], tensors["v"]), ()

    def cost(self, case: Case) -> Cost:
        """Return the cost of both products."""
        flops = 2.0 * case.B * case.H * case.T**2 * (case.K + case.V)
        return Cost(flops, self.input_bytes(case) + self.output_bytes(case))


def causal_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the correct output; q, k: [B, T, H, K]; v, o: [B, T, H, V]."""
    scores = torch.einsum("bthk,buhk->bhtu", q, k).tril()
    return torch.einsum("bhtu,buhv->bthv", scores, v)


@implementation("planted", "good")
def good(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Does nothing wrong."""
    return causal_product(q, k, v)


@implementation("planted", "asks-too-much")
def asks_too_much(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Allocates more memory than there is."""
    return torch.empty(2**45)


@implementation("planted", "caches")
def caches(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns the first result again for inputs at the same address."""
    if q.data_ptr() not in CACHE:
        CACHE[q.data_ptr()] = causal_product(q, k, v)
    return CACHE[q.data_ptr()]


@implementation("planted", "dies")
def dies(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Ends the process with os._exit."""
    os._exit(7)


@implementation("planted", "eats")
def eats(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Allocates 1.5 GiB and keeps it."""
    LEFT["memory"] = [bytearray(os.urandom(1) * 2**26) for _ in range(EATEN_BYTES // 2**26)]
    while True:
        time.sleep(60)  # until the worker is ended


@implementation("planted", "exits")
def exits(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Raises SystemExit."""
    sys.exit(0)


@implementation("planted", "garbage")
def garbage(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Writes garbage to the worker's pipe."""
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_socket():  # the worker's only socket
            os.write(int(entry.name), b"not json at all\n")
    return causal_product(q, k, v)


@implementation("planted", "half-shape")
def half_shape(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns an output of the wrong shape."""
    return causal_product(q, k, v)[:, ::2]


@implementation("planted", "hangs")
def hangs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Never returns."""
    while True:
        time.sleep(60)


@implementation("planted", "late")
def late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns at once and fills the output later, in a thread."""
    out = torch.empty_like(v)

    def finish() -> None:
        time.sleep(LATE_S)
        out.copy_(causal_product(q, k, v))

    threading.Thread(target=finish).start()
    return out


@implementation("planted", "leaks")
def leaks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Keeps every output alive."""
    LEAKED.append(causal_product(q, k, v))
    return LEAKED[-1]


@implementation("planted", "leaves-a-child")
def leaves_a_child(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Starts a process and leaves it running; it must end with the worker."""
    if "child" not in LEFT:  # one per worker, however many calls there are
        LEFT["child"] = subprocess.Popen(["sleep", str(NAP_S + os.getppid())])
    return causal_product(q, k, v)


@implementation("planted", "leaves-a-thread")
def leaves_a_thread(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Starts a thread and leaves it running; it must end with the worker."""
    if "thread" not in LEFT:  # one per worker, however many calls there are
        LEFT["thread"] = thread = threading.Thread(target=time.sleep, args=(3600,))
        thread.start()
    return causal_product(q, k, v)


@implementation("planted", "mask")
def mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attends to the future instead of the past."""
    return causal_product(q.flip(1), k.flip(1), v.flip(1)).flip(1)


@implementation("planted", "mutates")
def mutates(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Changes an input."""
    out = causal_product(q, k, v)
    k.mul_(2)
    return out


@implementation("planted", "nan")
def nan(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns NaN."""
    return torch.full_like(v, torch.nan)


@implementation("planted", "nothing")
def nothing(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Returns None."""
    return


@implementation("planted", "prints")
def prints(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Prints what looks like an answer to stdout, and noise to stderr; the harness must ignore both."""
    print('{"status": "ok", "samples_s": [1e-9]}', flush=True)
    os.write(2, b"noise\n")
    return causal_product(q, k, v)


@implementation("planted", "raises")
def raises(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Raises an exception of two lines."""
    raise KeyError("a line\nand another")


@implementation("planted", "refuses")
def refuses(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Raises NotImplementedError."""
    raise NotImplementedError("not on a Sunday")


@implementation("planted", "reseeds")
def reseeds(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Reseeds torch's random numbers; correct only if it draws the same number in every call."""
    RANDOM_NUMBERS.append(torch.rand(1))
    torch.manual_seed(len(RANDOM_NUMBERS))
    return causal_product(q, k, v) if RANDOM_NUMBERS[-1] == RANDOM_NUMBERS[0] else torch.zeros_like(v)


@implementation("planted", "segfaults")
def segfaults(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Reads address 0."""
    ctypes.string_at(0)
    return causal_product(q, k, v)


@implementation("planted", "side-stream", unsupported_reason=needs(device="cuda"))
def side_stream(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns at once and computes on a stream that nothing waits for."""
    out = torch.empty_like(v)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(SPIN_CYCLES)
        out.copy_(causal_product(q, k, v))
    return out


@implementation("planted", "sleeps")
def sleeps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Sleeps for 5 ms, which the reported time must include."""
    time.sleep(SLEEP_S)
    return causal_product(q, k, v)


@implementation("planted", "stale-graph", unsupported_reason=needs(device="cuda"))
def stale_graph(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Replays a CUDA graph with the inputs from its capture."""
    if q.data_ptr() not in GRAPHS:
        copies = [x.clone() for x in (q, k, v)]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            causal_product(*copies)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = causal_product(*copies)
        CACHE.update({x.data_ptr(): x for x in copies})
        GRAPHS[q.data_ptr()] = graph, out
    graph, out = GRAPHS[q.data_ptr()]
    graph.replay()
    return out


@implementation("planted", "stops-the-clock")
def stops_the_clock(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Stops every clock of Python."""
    moment, moment_ns = time.perf_counter(), time.perf_counter_ns()
    for name in ("perf_counter", "monotonic", "time", "process_time"):
        setattr(time, name, lambda: moment)
        setattr(time, f"{name}_ns", lambda: moment_ns)
    return causal_product(q, k, v)


@implementation("planted", "tires")
def tires(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns the correct output in the check, and zeros once it is timed, without the garbage collector."""
    return causal_product(q, k, v) if gc.isenabled() else torch.zeros_like(v)


@implementation("planted", "unsettles-determinism")
def unsettles_determinism(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves torch's deterministic algorithms on."""
    torch.use_deterministic_algorithms(True)
    return causal_product(q, k, v)


@implementation("planted", "unsettles-dtype")
def unsettles_dtype(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves torch's default dtype changed."""
    torch.set_default_dtype(torch.float64)
    return causal_product(q, k, v)


@implementation("planted", "unsettles-precision")
def unsettles_precision(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves the precision of float32 products changed."""
    torch.set_float32_matmul_precision("medium")
    return causal_product(q, k, v)


@implementation("planted", "unsettles-threads")
def unsettles_threads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Leaves the number of torch's threads changed."""
    torch.set_num_threads(SETTINGS[1] + 1)
    return causal_product(q, k, v)


@implementation("planted", "untouched")
def untouched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Runs after those and is correct only if every setting is unchanged."""
    settings = (torch.get_default_dtype(), torch.get_num_threads(), torch.get_float32_matmul_precision())
    differs = settings != SETTINGS or torch.are_deterministic_algorithms_enabled()
    return torch.zeros_like(v) if differs else causal_product(q, k, v)


@implementation("planted", "view")
def view(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns a view of an input."""
    return v[:]


@implementation("planted", "wavers")
def wavers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns the correct output, except for a last bit that differs from call to call."""
    out = causal_product(q, k, v)
    CALLS["wavers"] += 1
    return out * (1 + 2.0**-23 * (CALLS["wavers"] % 2))


@implementation("planted", "wrong-gradient")
def wrong_gradient(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns the correct output, and passes no gradient to k."""
    return causal_product(q, k.detach(), v)


@implementation("planted", "zeros")
def zeros(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Returns zeros."""
    return torch.zeros_like(v)
