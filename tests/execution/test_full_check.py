"""The figures of a row besides its time: determinism, error by position, approximation error, telemetry."""

import json
import math

import pytest

PLUGIN = """
import math
import torch
from linbench import Cost, Operator, TensorSpec, implementation, operator

@operator
class FirstOrder(Operator):
    '''Causal attention with 1 + s in place of exp(s): an approximation of softmax for small scores.'''
    name = "first_order"
    kind = "approximation"
    approximates = "softmax"
    inputs = (TensorSpec("q", "BTHK"), TensorSpec("k", "BTHK"), TensorSpec("v", "BTHV"))

    def draw(self, spec, shape, generator, options):
        return super().draw(spec, shape, generator, options) * (0.3 if spec.name in "qk" else 1)

    def reference(self, tensors, state, options):
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        weights = (1 + q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).tril()
        return ((weights / weights.sum(-1, keepdim=True)) @ v).transpose(1, 2), ()

    def cost(self, case):
        return Cost(1.0, 1.0)

@implementation("first_order", "naive")
def naive(q, k, v):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    weights = (1 + q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).tril()
    return ((weights / weights.sum(-1, keepdim=True)) @ v).transpose(1, 2)

CALLS = []

@implementation("first_order", "nondeterministic")
def nondeterministic(q, k, v):
    CALLS.append(1)
    o = naive(q, k, v)
    o[:, -4:] *= 1 + len(CALLS) % 2 * 2**-23
    return o
"""


@pytest.fixture(scope="module")
def rows(command_line):
    command = command_line("full_check")
    (command.folder / "plugin.py").write_text(PLUGIN)
    stdout, _ = command(
        "run", "--plugin", "plugin.py", "--op", "first_order", "--impl", "softmax/naive", "--T", "64",
        "--H", "2", "--D", "16", "--mode", "fwd,fwd_bwd,prefill", "--min-time", "20ms", "--no-report",
        "--format", "json", "--device", "cpu",
    )  # fmt: skip
    return {(row["implementation"], row["case"]["mode"]): row for row in map(json.loads, stdout.splitlines())}


@pytest.mark.parametrize("mode", ["fwd", "fwd_bwd"])
def test_numerical_error_and_approximation_error_are_separate(rows, mode):
    row = rows["first_order/naive", mode]
    assert row["status"] == "ok", row
    assert row["errors"]["o"]["rel_l2"] < 1e-6
    assert set(row["approximation"]) == {"o"}
    assert 1e-3 < row["approximation"]["o"] < 0.2  # about the mean square of the scores
    assert row["approximation"] == rows["first_order/nondeterministic", mode]["approximation"]
    assert rows["softmax/naive", mode]["approximation"] == {}


def test_determinism(rows):
    assert rows["first_order/naive", "fwd"]["deterministic"] is True
    assert rows["softmax/naive", "fwd_bwd"]["deterministic"] is True
    assert rows["first_order/nondeterministic", "fwd"]["deterministic"] is False
    assert rows["softmax/naive", "prefill"]["deterministic"] is True  # although its cache has unwritten room


def test_an_error_has_its_values_by_position_along_t(rows):
    for name in ("o", "dq", "dk", "dv"):
        errors = rows["softmax/naive", "fwd_bwd"]["errors"][name]["by_position"]
        assert len(errors) == 16
        mean = math.sqrt(sum(error**2 for error in errors) / 16)
        assert mean == pytest.approx(rows["softmax/naive", "fwd_bwd"]["errors"][name]["rel_l2"], rel=1.0)
        assert min(errors) > 0


def test_a_row_has_processor_time_calibration_and_telemetry(rows):
    row = rows["softmax/naive", "fwd"]
    assert row["cpu_median_s"] > 0
    assert row["kernels_median_s"] is None
    assert 0 < row["calibration_median_s"] < 1
    load = row["telemetry"]["during"]["load"]
    assert 0 <= load["low"] <= load["middle"] <= load["high"]
    assert row["telemetry"]["rounds_again"] <= 3
    assert row["telemetry"]["before"]["span_s"] > 0
    assert row["telemetry"]["after"]["span_s"] > 0
