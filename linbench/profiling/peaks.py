"""Peaks: measures the ceilings of this machine, each several times, in a process that does nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from linbench.core.case import DTYPES
from linbench.core.ceiling import Ceiling
from linbench.core.roof import MEMORY

REPETITIONS = 7
FEWEST = 3
LONGEST_S = 1.0
COPIED_S = 0.02
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
LEAST_MEMORY_BYTES = 2**27
CPU_SIDE = 768
CUDA_SIDE = 8192
DISPATCHES = 2000
READINGS = 10_000

Rates = list[float]
Block = NDArray[np.void]


def measure_ceilings(device: str) -> Iterator[Ceiling]:
    """Yield the ceilings of a kind of device and of its host."""
    cores = len(os.sched_getaffinity(0))
    if device == "cuda":
        yield from _cuda()
    else:
        for level, size in working_sets(cores).items():
            for threads in dict.fromkeys((1, cores)):
                yield _copy(level, size, threads)
        for dtype in DTYPES:
            for threads in dict.fromkeys((1, cores)):
                yield _matmul(dtype, threads)
    yield _dispatch()
    yield _timer()


def working_sets(cores: int) -> dict[str, int]:
    """Return the working set per thread, source and target together, that fits each memory level, bytes.

    Half of a private cache, half of the thread's share of a shared cache, and eight times the last cache
    for memory.
    """
    sizes: dict[str, int] = {}
    for index in sorted(CACHES.glob("index*")):
        kind, level, size, shared = (
            (index / name).read_text(encoding="ascii").strip()
            for name in ("type", "level", "size", "shared_cpu_list")
        )
        if kind != "Instruction":
            sharing = min(cores, _count(shared))
            sizes[f"L{level}"] = int(size.removesuffix("K")) * 1024 // 2 // sharing
    last = max(sizes.values(), default=0)
    return sizes | {MEMORY: max(LEAST_MEMORY_BYTES, 16 * last)}


def _count(ranges: str) -> int:
    """Return the number of integers in a list in the format of /sys: 0-3,8 has 5."""
    ends = (part.partition("-") for part in ranges.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)


def _copy(level: str, size: int, threads: int) -> Ceiling:
    """Return the bytes per second, read and written, of repeated copies of a working set."""
    half = size // 2
    pairs = [[np.ones(half, np.uint8).view(np.dtype((np.void, half))) for _ in "st"] for _ in range(threads)]
    times = max(1, round(COPIED_S * 10e9 / size))
    repeated = [[as_strided(block, (times,), (0,), writeable=True) for block in pair] for pair in pairs]

    def once(pair: list[Block]) -> None:
        np.copyto(pair[1], pair[0])

    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for number in range(REPETITIONS + 1):
            start = time.perf_counter()
            list(pool.map(once, repeated))
            took_s = time.perf_counter() - start
            if number:  # the first repetition has page faults
                rates.append(threads * times * 2 * half / took_s)
    command = f"numpy.copyto of {half} bytes, {times} times over, in each thread; bytes read and written"
    holds = None if level == MEMORY else 2 * size * threads
    return replace(_rate(f"copy.{level}", "cpu", threads, "B/s", rates, command), holds_bytes=holds)


def _matmul(dtype: str, threads: int) -> Ceiling:
    """Return the operations per second of a square matrix product."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a = torch.ones(CPU_SIDE, CPU_SIDE, dtype=getattr(torch, dtype))
        rates = [2 * CPU_SIDE**3 / took_s for took_s in _times(partial(torch.matmul, a, a))]
    finally:
        torch.set_num_threads(before)
    command = f"torch.matmul of [{CPU_SIDE}, {CPU_SIDE}] by the same, {dtype}"
    return _rate(f"matmul.{dtype}", "cpu", threads, "FLOP/s", rates, command)


def _cuda() -> Iterator[Ceiling]:
    """Yield the rates of copies in memory, matrix products and launches of the current CUDA device."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    rates = [2 * source.nbytes / took_s for took_s in _times(lambda: target.copy_(source))]
    yield _rate(f"copy.{MEMORY}", "cuda", 1, "B/s", rates, "Tensor.copy_ of 1 GiB; bytes read and written")
    for dtype in DTYPES:
        a = torch.ones(CUDA_SIDE, CUDA_SIDE, dtype=getattr(torch, dtype), device="cuda")
        flops = [2 * CUDA_SIDE**3 / took_s for took_s in _times(partial(torch.matmul, a, a))]
        command = f"torch.matmul of [{CUDA_SIDE}, {CUDA_SIDE}] by the same, {dtype}"
        yield _rate(f"matmul.{dtype}", "cuda", 1, "FLOP/s", flops, command)
    element = torch.zeros(1, device="cuda")

    def launches() -> None:
        for _ in range(DISPATCHES):
            element.add_(1)

    times_s = [took_s / DISPATCHES for took_s in _times(launches)]
    yield _latency("launch", "cuda", times_s, f"Tensor.add_ of one element, mean of {DISPATCHES} in a row")


def _dispatch() -> Ceiling:
    """Return the time that torch needs to dispatch an operator with negligible work, from Python."""
    element = torch.zeros(1)

    def calls() -> None:
        for _ in range(DISPATCHES):
            element.add_(element)

    times_s = [took_s / DISPATCHES for took_s in _times(calls)]
    return _latency("dispatch", "cpu", times_s, f"Tensor.add_ of one element, mean of {DISPATCHES} in a row")


def _timer() -> Ceiling:
    """Return the smallest step between two readings of the clock that times rows."""
    steps = []
    for _ in range(REPETITIONS):
        readings = [time.perf_counter_ns() for _ in range(READINGS)]
        steps.append(1e-9 * min(b - a for a, b in pairwise(readings) if b > a))
    return _latency("timer", "cpu", steps, f"least step of {READINGS} successive time.perf_counter_ns()")


def _times(call: Callable[[], object]) -> list[float]:
    """Return the seconds of several repetitions, of fewer if they are long, after one for warm-up."""
    call()
    times_s: list[float] = []
    while len(times_s) < FEWEST or (len(times_s) < REPETITIONS and sum(times_s) < LONGEST_S):
        _wait()
        start = time.perf_counter()
        call()
        _wait()
        times_s.append(time.perf_counter() - start)
    return times_s


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _rate(name: str, device: str, threads: int, unit: str, rates: Rates, command: str) -> Ceiling:
    return Ceiling(name, device, threads, unit, max(rates), median(rates), min(rates), command)


def _latency(name: str, device: str, times_s: list[float], command: str) -> Ceiling:
    return Ceiling(name, device, 1, "s", min(times_s), median(times_s), max(times_s), command)
