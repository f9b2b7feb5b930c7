"""linbench selftest --sensitivity: the smallest errors that are called wrong."""

import json

import pytest

from linbench.core.registry import Registry
from linbench.selftest import sensitivity


@pytest.fixture
def two_operators(loaded, monkeypatch):
    operators = [loaded.operator("linear"), loaded.operator("softmax")]
    monkeypatch.setattr(Registry, "operators", lambda _: operators)


@pytest.mark.usefixtures("two_operators")
def test_a_row_of_ten_percent_and_a_head_of_one_percent_are_caught_in_bfloat16(loaded):
    found = {(item.operator, item.dtype): item for item in sensitivity.sensitivities(loaded, "cpu")}
    assert len(found) == 6
    for name in ("linear", "softmax"):
        half, single = found[name, "bfloat16"], found[name, "float32"]
        assert 0 < single.row < half.row < 0.1
        assert 0 < single.head < half.head < 0.01
        assert half.last_token < 0.1


def test_a_refused_type_says_why(loaded, monkeypatch):
    performer = loaded.operator("performer")
    monkeypatch.setattr(Registry, "operators", lambda _: [performer])
    monkeypatch.setattr("linbench.measure.tolerance.MAX_TOLERANCE", 1e-9)
    assert all("cannot be checked" in item.refused for item in sensitivity.sensitivities(loaded, "cpu"))


@pytest.mark.usefixtures("two_operators")
def test_the_command_prints_a_line_per_operator_and_type(linbench):
    out, _ = linbench("selftest", "--sensitivity", "--device", "cpu")
    assert out.splitlines()[0].startswith("OPERATOR  DTYPE")
    assert len(out.splitlines()) == 7
    out, _ = linbench("selftest", "--sensitivity", "--device", "cpu", "--format", "json")
    assert [json.loads(line)["dtype"] for line in out.splitlines()[:3]] == ["float32", "float16", "bfloat16"]


def test_it_takes_no_time_limit(linbench):
    _, err = linbench("selftest", "--sensitivity", "--time-limit", "1m", code=2)
    assert "leave out --faults, --slowdowns, --time-limit" in err
