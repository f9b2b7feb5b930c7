"""The memory timeline of a call: from synthetic steps, from real calls, and as a page."""

import json
import re

import pytest
from synthetic import BARE

from linbench.core.case import Case
from linbench.core.codec import decode, encode
from linbench.core.measurement import Status
from linbench.core.profile import Profile
from linbench.measure.call import Call, InputsInLayout
from linbench.measure.memory import measure_memory
from linbench.profiling.allocations import allocations
from linbench.profiling.timeline import KINDS, Step, Timeline, levels, timeline
from linbench.report.memory_page import areas, render

US = 1000
STEPS = [
    Step(10 * US, 0xA, 100, "aten::mul"),
    Step(11 * US, 0xA, 0, kind="saved"),
    Step(12 * US, 0xB, 50, "aten::bmm"),
    Step(13 * US, 0xB, -50),
    Step(14 * US, 0xB, 70, "aten::add"),  # the same address, for another block
    Step(15 * US, 0xB, 0, kind="saved"),
    Step(16 * US, 0xC, -30),  # allocated before the call
    Step(18 * US, 0xA, -100),
    Step(20 * US, 0xB, 0, kind="outputs"),
    Step(20 * US, 0xF, 0, kind="outputs"),  # part of an input
]


def test_blocks_live_from_allocation_to_release_and_have_one_kind():
    steps_timeline = timeline(STEPS)
    blocks = [(block.bytes, block.kind, block.operator, block.end_s) for block in steps_timeline.blocks]
    assert blocks == [
        (100, "saved", "aten::mul", pytest.approx(8e-6)),
        (50, "workspace", "aten::bmm", pytest.approx(3e-6)),
        (70, "outputs", "aten::add", None),
    ]
    assert steps_timeline.length_s == pytest.approx(10e-6)
    assert steps_timeline.peak_s() == pytest.approx(4e-6)
    assert steps_timeline.peak() == {"peak": 170, "outputs": 70, "state": 0, "saved": 100, "workspace": 0}
    assert decode(Timeline, json.loads(json.dumps(encode(steps_timeline)))) == steps_timeline


def test_levels_are_the_bytes_alive_and_include_the_peak():
    steps_timeline = timeline(STEPS)
    by_time = levels(steps_timeline, 3)
    assert [sum(level.values()) for _, level in by_time] == [100, 170, 170, 70]
    for time_s, level in by_time:
        blocks = steps_timeline.alive(time_s)
        assert level == {kind: sum(block.bytes for block in blocks if block.kind == kind) for kind in KINDS}


def test_a_call_without_allocations():
    assert timeline([]).peak()["peak"] == 0
    assert levels(timeline([]), 5) == [(0.0, dict.fromkeys(KINDS, 0))]


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
def test_the_peak_equals_the_memory_of_a_row(loaded, mode):
    implementation = loaded.implementation("linear/chunk")
    operator, case = loaded.operator("linear"), Case(1, 128, 2, 32, 32, mode=mode)
    call = Call(operator, implementation, case, InputsInLayout(operator, case))
    steps_timeline = allocations(call)
    memory, _ = measure_memory(call)
    peak = steps_timeline.peak()
    assert peak["peak"] == memory.extra_bytes
    assert sum(peak[kind] for kind in KINDS) == peak["peak"]
    live = [block for block in steps_timeline.blocks if block.end_s is None]
    end = {kind: sum(block.bytes for block in live if block.kind == kind) for kind in KINDS}
    assert end["outputs"] > 0
    assert end["outputs"] + end["state"] == memory.output_bytes
    assert (peak["saved"] > 0) == (mode == "fwd_bwd")
    assert (end["state"] > 0) == (mode in ("prefill", "decode"))
    operators = {block.operator for block in steps_timeline.blocks}
    assert {"aten::bmm", "aten::elu"} <= operators
    assert not any(name.startswith("aten::empty") for name in operators)


PROFILE = Profile("linear", "linear/<b>x</b>", Case(1, 16, 2, 16, 16), "memory", Status.OK, BARE, id=7)


def test_the_page_is_one_file_without_external_resources():
    html = render(PROFILE, timeline(STEPS))
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", html)
    assert "linear/&lt;b&gt;x&lt;/b&gt;" in html
    assert "170 B" in html
    assert html == render(PROFILE, timeline(STEPS))


def test_the_areas_are_stacked_and_reach_the_top_at_the_peak():
    steps_timeline = timeline(STEPS)
    by_kind = {area.kind: area for area in areas(levels(steps_timeline, 3), steps_timeline.peak())}
    heights = [float(corner.split(",")[1]) for corner in by_kind["workspace"].points.split()]
    assert min(heights) == 0.0
    assert by_kind["saved"].at_peak == 100
