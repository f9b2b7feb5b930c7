import pytest

from linbench.analysis.ruler import even_rulers, log_rulers, multiple_rulers
from linbench.text import format


def test_a_log_ruler_has_1_2_and_5_then_each_power_then_fewer():
    finest, powers, second, *_ = log_rulers([3e-6, 2e-2], format.seconds)
    assert finest.texts[:6] == ("100 ns", "200 ns", "500 ns", "1 \u00b5s", "2 \u00b5s", "5 \u00b5s")
    assert powers.texts == tuple(["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"])
    assert set(second.ticks) <= {*powers.ticks, 1e-8, 10.0}
    assert powers.ticks[0] < 3e-6 < 2e-2 < powers.ticks[-1]


def test_bytes_have_powers_of_two_only():
    finest, *_ = log_rulers([1024, 2**20], format.size, base=2)
    assert finest.texts[:3] == ("512 B", "1 KiB", "2 KiB")
    assert all(upper == 2 * lower for lower, upper in zip(finest.ticks, finest.ticks[1:], strict=False))


def test_ratios_close_to_each_other_have_even_steps():
    rulers = even_rulers([0.97, 1.1], format.ratio)
    assert [ruler.ticks[1] - ruler.ticks[0] for ruler in rulers] == pytest.approx(
        [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    )
    assert rulers[2].texts == ("0.95\u00d7", "1\u00d7", "1.05\u00d7", "1.1\u00d7")
    assert len(even_rulers([1.0, 1e9], format.ratio)) == 0


def test_multiples_of_bytes_reach_the_value():
    rulers = multiple_rulers(5000, format.size)
    assert rulers[0].ticks[:3] == (0, 1, 2)
    assert rulers[-1].ticks[1] >= 5000


def test_without_a_positive_value_there_is_no_ruler():
    assert log_rulers([0.0, float("inf")], format.digits) == even_rulers([], format.digits) == ()
