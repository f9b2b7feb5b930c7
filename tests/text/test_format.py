import subprocess
import sys

import pytest

from linbench.text import format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234, "1,230"),
        (999.6, "1,000"),
        (0.01234, "0.0123"),
        (1.23e-7, "1.2e-7"),
        (-2.5, "-2.50"),
        (float("nan"), "nan"),
    ],
)
def test_digits(value, text):
    assert format.digits(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5, "2.50 s"),
        (0.01234, "12.3 ms"),
        (4.56e-5, "45.6 µs"),
        (7e-9, "7.00 ns"),
        (3e-11, "0.0300 ns"),
        (0, "0 ns"),
    ],
)
def test_seconds(value, text):
    assert format.seconds(value) == text


def test_an_interval_is_in_the_unit_of_its_median():
    assert format.seconds_interval(1.02e-3, 0.98e-3, 1.1e-3) == "1.02 ms [0.980, 1.10]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (512, "512 B"), (1536, "1.50 KiB"), (3 * 2**30, "3.00 GiB"), (2**41, "2.00 TiB")],
)
def test_size(value, text):
    assert format.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512"), (32768, "32k"), (2**20, "1M"), (1500, "1,500"), (1000, "1,000")]
)
def test_short_count(value, text):
    assert format.short_count(value) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("1.00 ms", "1 ms"),
        ("1.50 KiB", "1.5 KiB"),
        ("0.100\u00d7", "0.1\u00d7"),
        ("1.0e-7", "1e-7"),
        ("1,200", "1,200"),
    ],
)
def test_trimmed(text, short):
    assert format.trimmed(text) == short


def test_rate():
    assert [format.rate(value) for value in (1.5, 1234, 5e12)] == ["1.50", "1.23 k", "5.00 T"]
    assert format.rate(2.5e10, "FLOP/s") == "25.0 GFLOP/s"


def test_plurals_lists_and_intervals():
    assert format.plural(1, "row") == "1 row"
    assert format.plural(2000, "row") == "2,000 rows"
    assert format.listing([]) == ""
    assert format.listing(["a"]) == "a"
    assert format.listing(["a", "b", "c"]) == "a, b and c"
    assert format.ratio_interval(2.314, 2.28, 2.351) == "2.31\u00d7 [2.28, 2.35]"


def test_the_module_imports_no_large_library():
    code = (
        "import sys, linbench.text.format\n"
        "print([name for name in ('plotly', 'jinja2', 'numpy', 'torch') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
