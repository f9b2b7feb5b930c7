import pytest

from linbench.core.errors import UsageError
from linbench.core.quantity import parse_bytes, parse_counts, parse_duration


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("512", [512]),
        ("1k,2k..8k", [1024, 2048, 4096, 8192]),
        ("1..6", [1, 2, 4, 6]),
        ("1M", [2**20]),
        ("4,4", [4]),
    ],
)
def test_counts(text, counts):
    assert parse_counts(text, "--T") == counts


@pytest.mark.parametrize("text", ["-1", "0", "", "1.5", "x", "1,,2", "8k..1k", "1..", "1k..-2"])
def test_what_is_no_count_is_named(text):
    with pytest.raises(UsageError, match="--T"):
        parse_counts(text, "--T")


def test_sizes_and_durations():
    assert parse_bytes("1.5GiB", "x") == 3 * 2**29
    assert parse_bytes("800M", "x") == 800 * 2**20
    assert [parse_duration(text, "x") for text in ("90", "500ms", "10m", "2h")] == [90, 0.5, 600, 7200]
    for text in ("-1s", "0", "soon"):
        with pytest.raises(UsageError):
            parse_duration(text, "x")
