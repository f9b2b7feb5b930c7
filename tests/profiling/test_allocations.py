"""What a call allocated when: of made-up steps, of real calls against the meter of rows, and as a page."""

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
    Step(14 * US, 0xB, 70, "aten::add"),  # the address again, for something else
    Step(15 * US, 0xB, 0, kind="saved"),
    Step(16 * US, 0xC, -30),  # was there before the call
    Step(18 * US, 0xA, -100),
    Step(20 * US, 0xB, 0, kind="outputs"),
    Step(20 * US, 0xF, 0, kind="outputs"),  # lies in an input
]


def test_blocks_live_from_taking_to_giving_back_and_are_for_one_thing():
    found = timeline(STEPS)
    told = [(one.bytes, one.kind, one.operator, one.end_s) for one in found.blocks]
    assert told == [
        (100, "saved", "aten::mul", pytest.approx(8e-6)),
        (50, "workspace", "aten::bmm", pytest.approx(3e-6)),
        (70, "outputs", "aten::add", None),
    ]
    assert found.length_s == pytest.approx(10e-6)
    assert found.peak_s() == pytest.approx(4e-6)
    assert found.peak() == {"peak": 170, "outputs": 70, "state": 0, "saved": 100, "workspace": 0}
    assert decode(Timeline, json.loads(json.dumps(encode(found)))) == found


def test_levels_are_what_stands_and_the_peak_is_among_them():
    found = timeline(STEPS)
    walked = levels(found, 3)
    assert [sum(level.values()) for _, level in walked] == [100, 170, 170, 70]
    for time_s, level in walked:
        blocks = found.alive(time_s)
        assert level == {kind: sum(one.bytes for one in blocks if one.kind == kind) for kind in KINDS}


def test_a_call_without_allocations():
    assert timeline([]).peak()["peak"] == 0
    assert levels(timeline([]), 5) == [(0.0, dict.fromkeys(KINDS, 0))]


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd", "prefill", "decode"])
def test_the_peak_is_what_rows_say_it_is(loaded, mode):
    implementation = loaded.implementation("linear/chunk")
    operator, case = loaded.operator("linear"), Case(1, 128, 2, 32, 32, mode=mode)
    call = Call(operator, implementation, case, InputsInLayout(operator, case))
    found = allocations(call)
    memory, _ = measure_memory(call)
    peak = found.peak()
    assert peak["peak"] == memory.extra_bytes
    assert sum(peak[kind] for kind in KINDS) == peak["peak"]
    left = [one for one in found.blocks if one.end_s is None]
    end = {kind: sum(one.bytes for one in left if one.kind == kind) for kind in KINDS}
    assert end["outputs"] > 0
    assert end["outputs"] + end["state"] == memory.output_bytes
    assert (peak["saved"] > 0) == (mode == "fwd_bwd")
    assert (end["state"] > 0) == (mode in ("prefill", "decode"))
    operators = {one.operator for one in found.blocks}
    assert {"aten::bmm", "aten::elu"} <= operators
    assert not any(name.startswith("aten::empty") for name in operators)


PROFILE = Profile("linear", "linear/<b>x</b>", Case(1, 16, 2, 16, 16), "memory", Status.OK, BARE, id=7)


def test_the_page_is_one_file_that_asks_for_nothing():
    html = render(PROFILE, timeline(STEPS))
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", html)
    assert "linear/&lt;b&gt;x&lt;/b&gt;" in html
    assert "170 B" in html
    assert html == render(PROFILE, timeline(STEPS))


def test_the_areas_lie_on_each_other_and_reach_the_top_at_the_peak():
    found = timeline(STEPS)
    drawn = {area.kind: area for area in areas(levels(found, 3), found.peak())}
    heights = [float(corner.split(",")[1]) for corner in drawn["workspace"].points.split()]
    assert min(heights) == 0.0
    assert drawn["saved"].at_peak == 100
