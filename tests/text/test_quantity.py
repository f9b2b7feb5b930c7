import pytest

from linbench.text.quantity import parse_bytes, parse_counts, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("512", (512,)),
        ("1k,2k..8k", (1024, 2048, 4096, 8192)),
        ("1..6", (1, 2, 4, 6)),
        ("1M", (2**20,)),
        ("4,4", (4,)),
    ],
)
def test_counts(text, counts):
    assert parse_counts(text) == counts


@pytest.mark.parametrize("text", ["-1", "0", "", "1.5", "x", "1,,2", "8k..1k", "1..", "1k..-2"])
def test_invalid_counts_are_rejected(text):
    with pytest.raises(ValueError, match=r"is not a positive count|runs backwards"):
        parse_counts(text)


def test_sizes_durations_and_percents():
    assert parse_bytes("1.5GiB") == 3 * 2**29
    assert parse_bytes("800M") == 800 * 2**20
    assert [parse_duration(text) for text in ("90", "500ms", "10m", "2h")] == [90, 0.5, 600, 7200]
    assert [parse_percent(text) for text in ("1%", "0.5 %")] == [0.01, 0.005]
    for text in ("-1s", "0", "soon", "%"):
        for parse in (parse_bytes, parse_duration, parse_percent):
            with pytest.raises(ValueError, match=f"'{text}' is not a .*; write one like"):
                parse(text)
