"""The slowdowns on recordings with known answers, and on a few real ones."""

import json
import math
import random
from contextlib import nullcontext
from dataclasses import asdict

import pytest
import torch

from linbench.cli.selftest import slowdown_lines
from linbench.core.errors import EnvironmentRefused
from linbench.core.grid import typed_axes
from linbench.selftest import EXTRA_CHUNKS, injected_slowdowns, slowdowns
from linbench.selftest.slowdowns import Process, Recording, described, measure_slowdowns


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


def on_a_busy_machine():
    """Return a recording: processes differ by 15%, the sides of one by 0.6% beyond what was injected."""
    slowdowns = [recorded(extra / 100, 0.006, 0.15, extra) for extra in EXTRA_CHUNKS]
    return Recording("cpu", "a case", slowdowns, 60.0, (0.1, 0.2))


@pytest.fixture(scope="module")
def busy():
    return described(on_a_busy_machine(), draws=100)


def test_a_comparison_finds_what_is_there_and_nothing_else(busy):
    shares = {round(100 * slowdown.extra): slowdown.slower for slowdown in busy.slowdowns}
    assert shares[0] == 0
    assert busy.slowdowns[0].different == 0
    assert shares[1] < 0.9
    assert min(shares[n] for n in (2, 3, 5, 10)) > 0.95
    assert busy.flags_alone == 0
    assert busy.flags_suite == 0
    assert 0.9 <= busy.coverage <= 0.98


def test_a_slowdown_says_what_was_measured_and_what_it_took(busy):
    for slowdown in busy.slowdowns:
        effect, low, high = slowdown.effect
        assert low < slowdown.extra < high
        assert effect == pytest.approx(slowdown.extra, abs=0.005)
        assert slowdown.processes == 40
        assert slowdown.wall_s in (15.0, 21.0, 30.0, 42.0)
    assert busy.slowdowns[-1].wall_s == 15.0
    assert busy.call_s == pytest.approx(1e-3, rel=0.2)


def test_its_lines_hold_every_share_and_json_takes_it(busy):
    text = "\n".join(slowdown_lines(busy))
    assert "40 fresh processes of each slowdown and 40 of the same code in 60.0 s" in text
    assert "300 cases of the same code, resampled from its 40 processes: 0 called different" in text
    for name in ("SLOWDOWN", "called slower", "measured"):
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert line.count("%") == len(EXTRA_CHUNKS)
    assert json.loads(json.dumps(asdict(busy)))["slowdowns"][0]["slower"] == busy.slowdowns[0].slower


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slowdowns", "--faults"], "leave out --device, --time-limit, --slowdowns"),
        (["--slowdowns", "--time-limit", "soon"], "--time-limit"),
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
        torch.testing.assert_close(injected_slowdowns.product(q, k, v, extra), due)


def test_extra_chunks_are_so_many_percent_of_the_work():
    from torch.utils.flop_counter import FlopCounterMode

    def flops(extra):
        q, k, v = (torch.zeros(1, 1, 200, 8) for _ in range(3))
        with FlopCounterMode(display=False) as counter:
            injected_slowdowns.product(q, k, v, extra)
        return counter.get_total_flops()

    for extra in EXTRA_CHUNKS:
        assert flops(extra) * 100 == flops(0) * (100 + extra)


def test_real_processes_are_recorded(monkeypatch):
    monkeypatch.setattr(slowdowns, "AXES", slowdowns.AXES.override(typed_axes(T=100, D=8, H=1)))
    monkeypatch.setattr(slowdowns, "EXTRA_CHUNKS", (0, 10))
    monkeypatch.setattr(slowdowns, "LEAST_PROCESSES", 2)
    monkeypatch.setattr(slowdowns, "PROCESSES", 2)
    monkeypatch.setattr(slowdowns, "MORE_OF_THE_SAME", 1)
    counted = []
    found = described(measure_slowdowns("cpu", 600.0, counted.append))
    assert counted == [1, 2]
    assert [(slowdown.extra, slowdown.processes) for slowdown in found.slowdowns] == [(0.0, 3), (0.1, 2)]
    assert found.call_s > 0
    assert found.slowdowns[0].wall_s > 0


def test_fewer_processes_than_say_anything_are_refused(monkeypatch):
    monkeypatch.setattr(slowdowns, "_recorded", lambda *_: iter([[(n, None) for n in range(6)]] * 15))
    with pytest.raises(EnvironmentRefused, match=r"15 processes of each slowdown .* 16 are needed"):
        measure_slowdowns("cpu", 1.0)


def test_a_recording_ends_before_its_time_is_over(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(slowdowns.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(slowdowns, "Turns", lambda *_: nullcontext())
    monkeypatch.setattr(slowdowns, "_processes", lambda *_: iter(range(100)))
    assert len(list(slowdowns._recorded("cpu", [None, None], 11))) == 4  # three readings of the clock each
