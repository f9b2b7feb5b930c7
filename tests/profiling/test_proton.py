"""Proton's output format; a fake proton writes it here, because proton records only on CUDA."""

import gzip
import json

import pytest

from linbench.core.case import Case
from linbench.core.profile import Kind
from linbench.measure.call import Call, InputsInLayout

proton = pytest.importorskip("linbench.profiling.proton", reason="triton is not installed")

DEVICES = {"CUDA": {"0": {"arch": "90", "num_sms": 132, "clock_rate": 1980000}}}
PHASES = {"linear/x fwd": "fwd", "linear/x bwd": "bwd"}


def node(name, *children, **metrics):
    if "time" in metrics:
        metrics |= {"device_id": "0", "device_type": "CUDA", "time (ns)": metrics.pop("time")}
    return {"frame": {"name": name, "type": "function"}, "metrics": metrics, "children": list(children)}


def tree(*children):
    """Return the root of a tree, and the devices."""
    return [node("ROOT", *children, count=0, time=0), DEVICES]


FWD = tree(
    node(
        "a scope",
        node("scan", count=20, time=40_000, flops16=6e6, flops32=2e6, bytes=1e6),
        node("__proton_launch_metadata", node("sum", count=20, time=9_000)),
    ),
    node("gemm", count=10, time=90_000),
)
BWD = tree(node("scan", count=10, time=50_000), node("Memset", count=10, time=1_000))


def test_kernels_belong_to_the_phase_of_their_tree():
    lines = proton.kernel_lines(proton.merge({"linear/x fwd": FWD, "linear/x bwd": BWD}), PHASES, 10)
    cells = [(line.phase, line.name, line.calls, round(line.self_s * 1e9)) for line in lines]
    assert cells == [
        ("fwd", "gemm", 1, 9_000),
        ("bwd", "scan", 1, 5_000),
        ("fwd", "scan", 2, 4_000),
        ("bwd", "Memset", 1, 100),
    ]
    by_key = {(line.phase, line.name): line for line in lines}
    scan = by_key["fwd", "scan"]
    assert (scan.flops, scan.bytes, scan.kind) == (8e5, 1e5, Kind.KERNEL)
    assert (by_key["bwd", "scan"].flops, by_key["bwd", "scan"].bytes) == (None, None)


def test_the_trees_of_the_phases_merge_into_one_tree_for_hatchet():
    root, devices = proton.merge({"linear/x fwd": FWD, "linear/x bwd": BWD})
    assert root["frame"]["name"] == "ROOT"
    assert devices == DEVICES
    assert [child["frame"]["name"] for child in root["children"]] == ["linear/x fwd", "linear/x bwd"]
    assert all(set(child) == {"frame", "metrics", "children"} for child in root["children"])


class Sessions:
    """A fake triton.profiler that records which sessions are active when, and writes its files."""

    def __init__(self):
        self.files = []
        self.active = set()
        self.history = []

    def start(self, name, *, hook):
        assert hook == "triton"
        self.files.append(name)
        self.active.add(len(self.files) - 1)
        return len(self.files) - 1

    def activate(self, session):
        self.active.add(session)
        self.history.append(sorted(self.active))

    def deactivate(self, session):
        self.active.remove(session)

    def finalize(self):
        for name in self.files:
            with open(f"{name}.hatchet", "w", encoding="utf-8") as file:
                json.dump(tree(node("kernel", count=3, time=600)), file)


def test_each_phase_has_a_session_that_is_active_only_in_it(loaded, tmp_path, monkeypatch):
    sessions = Sessions()
    monkeypatch.setattr(proton, "proton", sessions)
    monkeypatch.setattr("linbench.profiling.plain.PROFILED_S", 60.0)
    monkeypatch.setattr("linbench.profiling.plain.MOST_CALLS", 3)
    operator, implementation = loaded.operator("linear"), loaded.implementation("linear/naive")
    case = Case(1, 16, 2, 8, 8, mode="fwd_bwd")
    file = tmp_path / "proton.json.gz"
    call = Call(operator, implementation, case, InputsInLayout(operator, case))
    breakdown = proton.record_kernels(call, file)
    assert sessions.history == [[0], [1]] * 3
    assert sessions.active == set()
    assert {(line.phase, line.name, line.calls) for line in breakdown.lines} == {
        ("fwd", "kernel", 1),
        ("bwd", "kernel", 1),
    }
    assert breakdown.times_s == pytest.approx({"kernels": 400e-9})
    assert breakdown.plain_s > 0
    assert breakdown.wall_s > 0
    root, _ = json.loads(gzip.decompress(file.read_bytes()))
    assert [child["frame"]["name"] for child in root["children"]] == ["linear/naive fwd", "linear/naive bwd"]
