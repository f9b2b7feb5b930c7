"""The ladder on recordings with known answers, and on a few real ones."""

import json
import math
import random
from contextlib import nullcontext
from dataclasses import asdict, replace

import pytest
import torch

from linbench.cli.selftest import _rungs
from linbench.core.errors import EnvironmentRefused, UsageError
from linbench.core.grid import typed_axes
from linbench.selftest import EXTRA_CHUNKS, ladder, rungs
from linbench.selftest.ladder import OURS, Process, climb, described
from linbench.selftest.picture import check_picture, draw
from linbench.selftest.rivals import RULES


def recorded(effect, noise, drift, seed, processes=40):
    """Return processes in which both sides drift together, from process to process."""
    source = random.Random(seed)
    found = []
    for _ in range(processes):
        pace = math.exp(source.gauss(0, drift))
        apart = math.log1p(effect) + source.gauss(0, noise)
        a_s = [pace * 1e-3 * math.exp(source.gauss(0, 0.01)) for _ in range(24)]
        b_s = [pace * 1e-3 * math.exp(apart + source.gauss(0, 0.01)) for _ in range(24)]
        found.append(Process([apart + source.gauss(0, 0.01) for _ in range(12)], a_s, b_s, 1.5))
    return found


@pytest.fixture(scope="module")
def busy():
    """A machine whose processes differ by 15%, and the sides of one by 0.6% beyond what was injected."""
    sides = [recorded(extra / 100, 0.006, 0.15, extra) for extra in EXTRA_CHUNKS]
    return described("cpu", "a case", sides, 60.0, (0.1, 0.2), draws=100)


def test_ours_finds_what_is_there_and_nothing_else(busy):
    shares = {round(100 * rung.extra): rung.slower[OURS] for rung in busy.rungs}
    assert shares[0] == 0
    assert busy.rungs[0].different == 0
    assert shares[1] < 0.9
    assert min(shares[n] for n in (2, 3, 5, 10)) > 0.95
    assert busy.flags_alone == 0
    assert busy.flags_suite == 0
    assert 0.9 <= busy.coverage <= 0.98


def test_the_others_see_two_processes_and_not_two_sides(busy):
    same = busy.rungs[0].slower
    assert set(same) == {OURS, *RULES}
    for name in ("pytest-benchmark mean:5%", "Mann-Whitney p < .01", "criterion"):
        assert 0.2 < same[name] < 0.65
    assert 0.1 < same["asv factor 1.1"] < 0.5
    assert busy.rungs[-1].slower["github-action-benchmark 200%"] == 0


def test_a_rung_says_what_was_measured_and_what_it_took(busy):
    for rung in busy.rungs:
        effect, low, high = rung.effect
        assert low < rung.extra < high
        assert effect == pytest.approx(rung.extra, abs=0.005)
        assert rung.processes == 40
        assert rung.wall_s in (15.0, 21.0, 30.0, 42.0)
    assert busy.rungs[-1].wall_s == 15.0
    assert busy.call_s == pytest.approx(1e-3, rel=0.2)


def test_its_lines_hold_every_share_and_json_takes_it(busy):
    text = "\n".join(_rungs(busy))
    assert "CALLED SLOWER" in text
    assert "40 fresh processes of each slowdown and 40 of the same code in 60.0 s" in text
    assert "300 cases of the same code, drawn from its 40 processes: 0 called different" in text
    for name in (OURS, *RULES):
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert line.count("%") == len(EXTRA_CHUNKS) + name.count("%")
    assert json.loads(json.dumps(asdict(busy)))["rungs"][0]["slower"] == busy.rungs[0].slower


def test_the_picture_is_the_same_every_time(busy, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    check_picture(one)
    for path in (one, other):
        draw(busy, path)
    assert one.read_bytes() == other.read_bytes()
    fewer = replace(busy, rungs=busy.rungs[:-1])
    draw(fewer, other)
    assert one.read_bytes() != other.read_bytes()


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(tmp_path):
    for name, said in (("x.txt", "ends in .svg"), ("no/x.svg", "is no folder")):
        with pytest.raises(UsageError, match=said):
            check_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--picture", "x.svg"], "--picture draws the ladder; add --ladder"),
        (["--ladder", "--faults"], "leave out --device, --time-budget, --ladder"),
        (["--ladder", "--picture", "x.txt"], "ends in .svg, .png, .pdf"),
        (["--ladder", "--time-budget", "soon"], "--time-budget"),
    ],
)
def test_what_cannot_be_taken_is_one_line(linbench, words, said):
    _, err = linbench("selftest", *words, code=2)
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("extra", EXTRA_CHUNKS)
def test_extra_chunks_change_no_result(extra):
    source = torch.Generator().manual_seed(0)
    for tokens in (200, 64):
        q, k, v = (torch.randn(1, 2, tokens, 8, generator=source, dtype=torch.float64) for _ in range(3))
        due = (q @ k.transpose(-1, -2)).tril() @ v
        torch.testing.assert_close(rungs.product(q, k, v, extra), due)


def test_extra_chunks_are_so_many_percent_of_the_work():
    from torch.utils.flop_counter import FlopCounterMode

    def flops(extra):
        q, k, v = (torch.zeros(1, 1, 200, 8) for _ in range(3))
        with FlopCounterMode(display=False) as counter:
            rungs.product(q, k, v, extra)
        return counter.get_total_flops()

    for extra in EXTRA_CHUNKS:
        assert flops(extra) * 100 == flops(0) * (100 + extra)


@pytest.mark.serial  # it measures the machine
def test_real_processes_are_recorded(monkeypatch):
    monkeypatch.setattr(ladder, "AXES", ladder.AXES.merged(typed_axes(T=100, D=8, H=1)))
    monkeypatch.setattr(ladder, "EXTRA_CHUNKS", (0, 10))
    monkeypatch.setattr(ladder, "LEAST_PROCESSES", 2)
    monkeypatch.setattr(ladder, "PROCESSES", 2)
    monkeypatch.setattr(ladder, "MORE_OF_THE_SAME", 1)
    counted = []
    found = climb("cpu", 600.0, counted.append)
    assert counted == [1, 2]
    assert [(rung.extra, rung.processes) for rung in found.rungs] == [(0.0, 3), (0.1, 2)]
    assert found.call_s > 0
    assert found.rungs[0].wall_s > 0


def test_fewer_processes_than_say_anything_are_refused(monkeypatch):
    monkeypatch.setattr(ladder, "_recorded", lambda *_: iter([[(n, None) for n in range(6)]] * 15))
    with pytest.raises(EnvironmentRefused, match=r"15 processes of each slowdown .* 16 are needed"):
        climb("cpu", 1.0)


def test_a_recording_ends_before_its_time_is_over(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(ladder.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(ladder, "Turns", lambda *_: nullcontext())
    monkeypatch.setattr(ladder, "_processes", lambda *_: iter(range(100)))
    assert len(list(ladder._recorded("cpu", [None, None], 11))) == 4  # three readings of the clock each
