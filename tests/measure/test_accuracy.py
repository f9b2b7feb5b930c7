"""Every figure of an error, on tensors with a known error."""

import math

import pytest
import torch

from linbench.core.codec import decode_text, encode_text
from linbench.core.measurement import Tolerance
from linbench.core.tensor import Expected, ExpectedSample
from linbench.measure.accuracy import by_position, complaint, errors, expected_of, sample_of, tensor_error

EXPECTED = torch.tensor([3.0, 4.0, 0.001, 0.0], dtype=torch.float64)


def error_of(actual, expected, tolerance, zero_rms=0.0):
    """Return the error of a tensor without named axes, so without rows and heads."""
    limits = Tolerance(tolerance, (math.inf,), math.inf)
    return tensor_error(actual, Expected(expected, zero_rms=zero_rms), limits, "", 1)


def test_the_figures_of_a_known_error():
    error = error_of(torch.tensor([3.0, 4.5, 0.002, 0.0]), EXPECTED, tolerance=0.2)
    gap = math.hypot(0.5, 0.001)
    assert error.rel_l2 == pytest.approx(gap / math.hypot(3, 4, 0.001), rel=1e-6)
    assert error.max_abs == pytest.approx(0.5)
    assert error.max_rel == pytest.approx(0.125)  # 0.001 is below 1% of the root mean square
    assert error.cosine == pytest.approx((9 + 18) / (5 * math.hypot(3, 4.5)), rel=1e-5)
    assert error.nonfinite == 0
    assert error.within_tolerance
    assert not error_of(torch.tensor([3.0, 5.1, 0.0, 0.0]), EXPECTED, tolerance=0.2).within_tolerance


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_element_that_is_not_finite_is_counted_and_never_within_tolerance(bad):
    error = error_of(torch.tensor([3.0, 4.0, 0.001, bad]), EXPECTED, tolerance=1e9)
    assert error.nonfinite == 1
    assert not error.within_tolerance
    assert error.rel_l2 == pytest.approx(0, abs=1e-4)
    assert all(math.isfinite(value) for value in (error.rel_l2, error.max_abs, error.max_rel, error.cosine))
    assert "1 NaN or infinite element" in complaint({"o": error})


def test_an_expected_value_of_zero_is_compared_absolutely():
    zero = torch.zeros(4, dtype=torch.float64)
    assert error_of(torch.full((4,), 1e-6), zero, tolerance=1).rel_l2 == pytest.approx(2e-6)
    tiny = torch.full((4,), 1e-9, dtype=torch.float64)
    assert error_of(torch.zeros(4), tiny, 1e-5).rel_l2 == pytest.approx(1)
    assert error_of(torch.zeros(4), tiny, 1e-5, zero_rms=1.0).rel_l2 == pytest.approx(1e-9)


def test_the_error_of_a_long_tensor_does_not_depend_on_its_slices(monkeypatch):
    torch.manual_seed(0)
    expected = torch.randn(7, 50, 3, dtype=torch.float64)
    actual = (expected + 1e-3 * torch.randn_like(expected)).float()
    in_one = error_of(actual, expected, 1)
    monkeypatch.setattr("linbench.measure.accuracy.SLICE_ELEMENTS", 100)
    in_slices = error_of(actual, expected, 1)
    for name in ("rel_l2", "max_abs", "max_rel", "cosine"):
        assert getattr(in_slices, name) == pytest.approx(getattr(in_one, name), rel=1e-12)


def test_the_complaint_names_the_worst_tensor():
    tensor_errors = errors(
        {"o": torch.tensor([1.1]), "dq": torch.tensor([2.0])},
        {name: Expected(torch.tensor([1.0], dtype=torch.float64)) for name in ("o", "dq")},
        dict.fromkeys(("o", "dq"), Tolerance(0.01, (math.inf,), math.inf)),
        {"o": "B", "dq": "B"},
    )
    first, second = complaint(tensor_errors).split("; o is off by ")
    assert first.startswith("dq is off by 1 (relative L2); the tolerance is 0.01: wrong are 1 element and")
    assert second.endswith("first at b 0: 1.1, expected 1")


def test_a_reference_that_is_not_finite_is_rejected():
    with pytest.raises(ValueError, match="the reference returned values that are not finite"):
        error_of(torch.zeros(1), torch.tensor([math.nan], dtype=torch.float64), 1)


@pytest.mark.parametrize(
    "index", [(...,), (slice(None), torch.tensor([0, 3])), (1, torch.tensor([2]), 0), (slice(0, 2),)]
)
def test_a_sample_of_the_reference_survives_a_round_trip_through_json(index, monkeypatch):
    monkeypatch.setattr("linbench.measure.accuracy.SAMPLE_ELEMENTS", 5)
    output = torch.arange(60.0, dtype=torch.float64).reshape(3, 4, 5)
    line = encode_text(sample_of(Expected(output[index], index, 0.5)))
    expected = expected_of(decode_text(ExpectedSample, line), "cpu")
    assert expected.zero_rms == 0.5
    assert 1 <= expected.value.numel() <= 60
    assert torch.equal(expected.of(output), expected.value)
    assert not torch.equal(expected.of(output + 1), expected.value)


def test_errors_are_reported_by_segment_of_t():
    expected = torch.ones(2, 64, 3, 4, dtype=torch.float64)
    actual = expected.clone()
    actual[:, 4:8] += 0.5  # the second of 16 segments
    actual[0, 63, 0, 0] = math.nan
    by_segment = by_position(actual, Expected(expected), 1, 64)
    assert len(by_segment) == 16
    assert by_segment[0] == 0
    assert by_segment[1] == pytest.approx(0.5)
    assert by_segment[15] == pytest.approx(math.sqrt(1 / (4 * 24)), rel=1e-2)
    assert len(by_position(expected[:, :5], Expected(expected[:, :5]), 1, 5)) == 5


def test_errors_at_sampled_positions_are_reported_by_their_segment():
    values = torch.ones(1, 64, 2, dtype=torch.float64)
    positions = torch.tensor([0, 5, 63])
    expected = Expected(values[:, positions], (slice(None), positions))
    actual = values.clone()
    actual[:, 63] = 3
    by_segment = by_position(actual, expected, 1, 64)
    assert (by_segment[0], by_segment[1], by_segment[15]) == (0, 0, 2)
    assert by_segment[2] is None
    assert by_position(actual, Expected(values[0, positions], (0, positions)), 1, 64) == ()
    assert by_position(actual, expected_of(sample_of(expected), "cpu"), 1, 64) == ()
