"""Proton: Triton's profiler around one call, and the tree of kernels that it writes.

Its file is JSON for Hatchet: the root of a tree, and the devices. A node has a frame with a name, metrics and
children. A node that ran on a device has the metrics "count" and "time (ns)"; if the kernel's launch hook
reports them, also "bytes" and "flops", or "flops8" to "flops64" by the width of the factors.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import triton.profiler as proton

from linbench.core.profile import Breakdown, Kind, Line
from linbench.measure.call import Call
from linbench.profiling.phase import phases
from linbench.profiling.plain import breakdown, plain_calls, wait
from linbench.profiling.ranges import in_ranges

TIME = "time (ns)"
METADATA = "__proton_launch_metadata"
"""The frame that contains the kernels of a launch hook itself."""

Tree = list[dict[str, Any]]


class KernelRecording:
    """A range in which a session of proton records; one for each phase.

    A scope of proton belongs to a thread, and autograd launches backward kernels from its own thread.
    """

    def __init__(self, call: Call, file: Path) -> None:
        self._call = call
        self._session = proton.start(str(file), hook="triton")
        proton.deactivate(self._session)

    def __enter__(self) -> None:
        proton.activate(self._session)

    def __exit__(self, *error: object) -> None:
        wait(self._call)
        proton.deactivate(self._session)


def record_kernels(call: Call, file: Path) -> Breakdown:
    """Return the kernels that a call launches on CUDA and their times; write proton's tree, gzipped."""
    plain = plain_calls(call)
    phase_of, wall_s = phases(call.implementation.name, call.case.mode), 0.0
    recordings = [KernelRecording(call, file.with_name(phase)) for phase in phase_of.values()]
    for _ in plain:
        call.prepare()
        wait(call)
        start = time.perf_counter()
        in_ranges(call, recordings)
        wall_s += time.perf_counter() - start
    proton.finalize()
    trees = {
        name: json.loads(file.with_name(f"{phase}.hatchet").read_text("utf-8"))
        for name, phase in phase_of.items()
    }
    tree = merge(trees)
    with gzip.open(file, "wt", encoding="utf-8") as open_file:
        json.dump(tree, open_file)
    lines = kernel_lines(tree, phase_of, len(plain))
    times_s = {"kernels": sum(line.self_s for line in lines)}
    return breakdown(lines, wall_s / len(plain), plain, times_s)


def merge(trees: Mapping[str, Tree]) -> Tree:
    """Return several trees as one tree, the nodes of each under a frame with its name."""
    frames = [
        {"frame": {"name": name, "type": "function"}, "metrics": {}, "children": tree[0]["children"]}
        for name, tree in trees.items()
    ]
    first = next(iter(trees.values()))
    return [{**first[0], "children": frames}, *first[1:]]


def kernel_lines(tree: Tree, phases: Mapping[str, str], calls: int) -> tuple[Line, ...]:
    """Return the kernels of one call, the means over all recorded calls, the longest first.

    Args:
        tree: The tree that `merge` returned for the trees of the phases.
        phases: The phase of each tree, by name.
        calls: Number of recorded calls.
    """
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for node in tree[0]["children"]:
        phase = phases[node["frame"]["name"]]
        for name, metrics in _kernels(node):
            line = sums.setdefault((phase, name), dict.fromkeys(("calls", "self_s", "flops", "bytes"), 0.0))
            line["calls"] += metrics["count"] / calls
            line["self_s"] += metrics[TIME] * 1e-9 / calls
            line["flops"] += sum(n for key, n in metrics.items() if key.startswith("flops")) / calls
            line["bytes"] += metrics.get("bytes", 0) / calls
    lines = [
        Line(
            phase,
            name,
            Kind.KERNEL,
            calls=line["calls"],
            total_s=line["self_s"],
            self_s=line["self_s"],
            flops=line["flops"] or None,
            bytes=line["bytes"] or None,
        )
        for (phase, name), line in sums.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.self_s, line.phase, line.name)))


def _kernels(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the metrics of every descendant of a node that ran on a device."""
    for child in node["children"]:
        name = child["frame"]["name"]
        if name.startswith(METADATA):
            continue
        if TIME in child["metrics"]:
            yield name, child["metrics"]
        yield from _kernels(child)
