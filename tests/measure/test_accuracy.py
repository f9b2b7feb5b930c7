"""Every figure of an error, on tensors whose error is known."""

import math

import pytest
import torch

from linbench.core.codec import decode_text, encode_text
from linbench.core.tensor import Expected, ExpectedSample
from linbench.measure.accuracy import by_position, complaint, errors, expected_of, sampled, tensor_error

EXACT = torch.tensor([3.0, 4.0, 0.001, 0.0], dtype=torch.float64)


def test_the_figures_of_a_known_error():
    error = tensor_error(torch.tensor([3.0, 4.5, 0.002, 0.0]), EXACT, tolerance=0.2)
    gap = math.hypot(0.5, 0.001)
    assert error.rel_l2 == pytest.approx(gap / math.hypot(3, 4, 0.001), rel=1e-6)
    assert error.max_abs == pytest.approx(0.5)
    assert error.max_rel == pytest.approx(0.125)  # 0.001 lies below 1% of the root mean square
    assert error.cosine == pytest.approx((9 + 18) / (5 * math.hypot(3, 4.5)), rel=1e-5)
    assert error.nonfinite == 0
    assert error.within_tolerance
    assert not tensor_error(torch.tensor([3.0, 5.1, 0.0, 0.0]), EXACT, tolerance=0.2).within_tolerance


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_element_that_is_not_finite_is_counted_and_never_right(bad):
    error = tensor_error(torch.tensor([3.0, 4.0, 0.001, bad]), EXACT, tolerance=1e9)
    assert error.nonfinite == 1
    assert not error.within_tolerance
    assert error.rel_l2 == pytest.approx(0, abs=1e-4)
    assert all(math.isfinite(value) for value in (error.rel_l2, error.max_abs, error.max_rel, error.cosine))
    assert "1 elements that are NaN or infinite" in complaint({"o": error})


def test_an_exact_zero_is_compared_absolutely():
    zero = torch.zeros(4, dtype=torch.float64)
    assert tensor_error(torch.full((4,), 1e-6), zero, tolerance=1).rel_l2 == pytest.approx(2e-6)
    tiny = torch.full((4,), 1e-9, dtype=torch.float64)
    assert tensor_error(torch.zeros(4), tiny, 1e-5).rel_l2 == pytest.approx(1)
    assert tensor_error(torch.zeros(4), tiny, 1e-5, zero_rms=1.0).rel_l2 == pytest.approx(1e-9)


def test_a_long_tensor_in_slices_has_the_error_of_the_whole(monkeypatch):
    torch.manual_seed(0)
    exact = torch.randn(7, 50, 3, dtype=torch.float64)
    actual = (exact + 1e-3 * torch.randn_like(exact)).float()
    whole = tensor_error(actual, exact, 1)
    monkeypatch.setattr("linbench.measure.accuracy.SLICE_ELEMENTS", 100)
    sliced = tensor_error(actual, exact, 1)
    for name in ("rel_l2", "max_abs", "max_rel", "cosine"):
        assert getattr(sliced, name) == pytest.approx(getattr(whole, name), rel=1e-12)


def test_the_worst_tensor_is_named():
    found = errors(
        {"o": torch.tensor([1.1]), "dq": torch.tensor([2.0])},
        {name: Expected(torch.tensor([1.0], dtype=torch.float64)) for name in ("o", "dq")},
        {"o": 0.01, "dq": 0.01},
    )
    assert complaint(found) == "dq is off by 1 (relative L2); the tolerance is 0.01"


def test_a_reference_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="the reference gave values that are not finite"):
        tensor_error(torch.zeros(1), torch.tensor([math.nan], dtype=torch.float64), 1)


@pytest.mark.parametrize(
    "index", [(...,), (slice(None), torch.tensor([0, 3])), (1, torch.tensor([2]), 0), (slice(0, 2),)]
)
def test_a_sample_of_the_reference_survives_the_pipe(index, monkeypatch):
    monkeypatch.setattr("linbench.measure.accuracy.SAMPLE_ELEMENTS", 5)
    output = torch.arange(60.0, dtype=torch.float64).reshape(3, 4, 5)
    line = encode_text(sampled(Expected(output[index], index, 0.5)))
    due = expected_of(decode_text(ExpectedSample, line), "cpu")
    assert due.zero_rms == 0.5
    assert 1 <= due.value.numel() <= 60
    assert torch.equal(due.of(output), due.value)
    assert not torch.equal(due.of(output + 1), due.value)


def test_an_error_is_told_by_where_it_lies():
    exact = torch.ones(2, 64, 3, 4, dtype=torch.float64)
    actual = exact.clone()
    actual[:, 4:8] += 0.5  # the second of 16 stretches
    actual[0, 63, 0, 0] = math.nan
    found = by_position(actual, Expected(exact), 1, 64)
    assert len(found) == 16
    assert found[0] == 0
    assert found[1] == pytest.approx(0.5)
    assert found[15] == pytest.approx(math.sqrt(1 / (4 * 24)), rel=1e-2)
    assert len(by_position(exact[:, :5], Expected(exact[:, :5]), 1, 5)) == 5


def test_an_error_at_sampled_positions_is_told_by_where_they_lie():
    exact = torch.ones(1, 64, 2, dtype=torch.float64)
    positions = torch.tensor([0, 5, 63])
    due = Expected(exact[:, positions], (slice(None), positions))
    actual = exact.clone()
    actual[:, 63] = 3
    found = by_position(actual, due, 1, 64)
    assert (found[0], found[1], found[15]) == (0, 0, 2)
    assert found[2] is None
    assert by_position(actual, Expected(exact[0, positions], (0, positions)), 1, 64) == ()
    assert by_position(actual, expected_of(sampled(due), "cpu"), 1, 64) == ()
