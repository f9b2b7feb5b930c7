"""The slowdown report, for recordings with known answers and for a few real processes."""

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
from linbench.selftest.slowdowns import Process, Recording, measure_slowdowns, summarize


def processes_with(effect, noise, drift, seed, count=40):
    """Return processes in which both sides drift together from process to process."""
    source = random.Random(seed)
    processes = []
    for _ in range(count):
        pace = math.exp(source.gauss(0, drift))
        log_ratio = math.log1p(effect) + source.gauss(0, noise)
        a_s = [pace * 1e-3 * math.exp(source.gauss(0, 0.01)) for _ in range(24)]
        b_s = [pace * 1e-3 * math.exp(log_ratio + source.gauss(0, 0.01)) for _ in range(24)]
        processes.append(Process([log_ratio + source.gauss(0, 0.01) for _ in range(12)], a_s, b_s, 1.5))
    return processes


def busy_recording():
    """Return a recording with noise of 15% between processes and 0.6% between the sides of a process."""
    slowdowns = [processes_with(extra / 100, 0.006, 0.15, extra) for extra in EXTRA_CHUNKS]
    return Recording("cpu", "a case", slowdowns, 60.0, (0.1, 0.2))


@pytest.fixture(scope="module")
def busy():
    return summarize(busy_recording(), draws=100)


def test_comparisons_detect_real_slowdowns_and_raise_no_false_alarms(busy):
    shares = {round(100 * slowdown.extra): slowdown.slower for slowdown in busy.slowdowns}
    assert shares[0] == 0
    assert busy.slowdowns[0].different == 0
    assert shares[1] < 0.9
    assert min(shares[n] for n in (2, 3, 5, 10)) > 0.95
    assert busy.flags_alone == 0
    assert busy.flags_suite == 0
    assert 0.9 <= busy.coverage <= 0.98


def test_a_slowdown_has_its_effect_and_the_duration_of_a_comparison(busy):
    for slowdown in busy.slowdowns:
        effect, low, high = slowdown.effect
        assert low < slowdown.extra < high
        assert effect == pytest.approx(slowdown.extra, abs=0.005)
        assert slowdown.processes == 40
        assert slowdown.wall_s in (15.0, 21.0, 30.0, 42.0)
    assert busy.slowdowns[-1].wall_s == 15.0
    assert busy.call_s == pytest.approx(1e-3, rel=0.2)


def test_the_lines_have_every_share_and_the_report_is_json_serialisable(busy):
    text = "\n".join(slowdown_lines(busy))
    assert "40 fresh processes of each slowdown and 40 of the same code in 60.0 s" in text
    assert "300 cases of the same code, resampled from its 40 processes: 0 called different" in text
    for name in ("SLOWDOWN", "called slower", "measured"):
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert line.count("%") == len(EXTRA_CHUNKS)
    assert json.loads(json.dumps(asdict(busy)))["slowdowns"][0]["slower"] == busy.slowdowns[0].slower


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slowdowns", "--faults"], "leave out --device, --time-limit, --slowdowns"),
        (["--slowdowns", "--time-limit", "soon"], "--time-limit"),
    ],
)
def test_invalid_arguments_are_rejected_in_one_line(linbench, arguments, message):
    _, err = linbench("selftest", *arguments, code=2)
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("extra", EXTRA_CHUNKS)
def test_extra_chunks_do_not_change_the_result(extra):
    source = torch.Generator().manual_seed(0)
    for tokens in (200, 64):
        q, k, v = (torch.randn(1, 2, tokens, 8, generator=source, dtype=torch.float64) for _ in range(3))
        expected = (q @ k.transpose(-1, -2)).tril() @ v
        torch.testing.assert_close(injected_slowdowns.product(q, k, v, extra), expected)


def test_each_extra_chunk_adds_one_percent_of_the_work():
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
    monkeypatch.setattr(slowdowns, "MORE_AA_PROCESSES", 1)
    progress = []
    report = summarize(measure_slowdowns("cpu", 600.0, progress.append))
    assert progress == [1, 2]
    assert [(slowdown.extra, slowdown.processes) for slowdown in report.slowdowns] == [(0.0, 3), (0.1, 2)]
    assert report.call_s > 0
    assert report.slowdowns[0].wall_s > 0


def test_too_few_processes_are_refused(monkeypatch):
    monkeypatch.setattr(slowdowns, "_record", lambda *_: iter([[(n, None) for n in range(6)]] * 15))
    with pytest.raises(EnvironmentRefused, match=r"15 processes of each slowdown .* 16 are needed"):
        measure_slowdowns("cpu", 1.0)


def test_a_recording_ends_before_its_deadline(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(slowdowns.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(slowdowns, "Turns", lambda *_: nullcontext())
    monkeypatch.setattr(slowdowns, "_processes", lambda *_: iter(range(100)))
    assert len(list(slowdowns._record("cpu", [None, None], 11))) == 4  # three clock readings per lap
