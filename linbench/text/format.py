"""Format numbers for people: three significant digits, SI units of time, binary units of size."""

import math
import re

SECOND_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
TIMES = "\u00d7"
DECIMAL_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
BYTE_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def digits(value: float) -> str:
    """Return a number with three significant digits, or two if it is tiny: 1,230, 1.23, 0.0123, 1.2e-7."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    magnitude = math.floor(math.log10(abs(rounded)))
    if magnitude < -3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{rounded:,.{max(0, 2 - magnitude)}f}"


def trimmed(text: str) -> str:
    """Return a formatted number without trailing zeros: 1.50 ms as 1.5 ms, 1.0e-7 as 1e-7."""
    return re.sub(r"\.(?=\D|$)", "", re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", text))


def count(value: int) -> str:
    """Return an integer with thousands separators: 32,768."""
    return f"{value:,}"


def short_count(value: int) -> str:
    """Return a count in its short form: 32k is 32 * 1024, 1M is 1024 squared, 1000 stays 1,000."""
    for power, unit in ((2**20, "M"), (2**10, "k")):
        if value >= power and value % power == 0:
            return f"{value // power}{unit}"
    return count(value)


def seconds(value: float) -> str:
    """Return a duration in a suitable unit: 12.3 ms."""
    scale, unit = second_unit(value)
    return f"{digits(value / scale)} {unit}"


def seconds_interval(median: float, low: float, high: float) -> str:
    """Return a median and its interval in one unit: 12.3 ms [12.1, 12.6]."""
    scale, unit = second_unit(median)
    return f"{digits(median / scale)} {unit} [{digits(low / scale)}, {digits(high / scale)}]"


def size(value: float) -> str:
    """Return a number of bytes in a suitable binary unit: 1.50 MiB, 512 B."""
    for scale, unit in BYTE_UNITS:
        if abs(value) >= scale:
            return f"{value:.0f} B" if scale == 1 else f"{digits(value / scale)} {unit}"
    return "0 B"


def rate(value: float, unit: str = "") -> str:
    """Return a rate with a suitable prefix: 12.3 k, 4.56 GFLOP/s."""
    scale, prefix = decimal_unit(value)
    return f"{digits(value / scale)} {prefix}{unit}".rstrip()


def ratio(value: float) -> str:
    """Return a ratio with the multiplication sign: 2.31x."""
    return f"{digits(value)}{TIMES}"


def ratio_interval(value: float, low: float, high: float) -> str:
    """Return a ratio, with the multiplication sign, and its interval: 2.31x [2.28, 2.35]."""
    return f"{ratio(value)} {interval(low, high)}"


def interval(low: float, high: float) -> str:
    """Return an interval: [2.28, 2.35]."""
    return f"[{digits(low)}, {digits(high)}]"


def share_interval(value: float, low: float, high: float) -> str:
    """Return a share and its interval in percent: 12.3% [11.9, 12.8]."""
    return f"{digits(100 * value)}% [{digits(100 * low)}, {digits(100 * high)}]"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural: 1 row, 2 rows."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def listing(items: list[str]) -> str:
    """Return items as a list in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def second_unit(value: float) -> tuple[float, str]:
    """Return a suitable unit for a duration: its length in seconds and its name."""
    return next(((scale, unit) for scale, unit in SECOND_UNITS if abs(value) >= scale), SECOND_UNITS[-1])


def byte_unit(value: float) -> tuple[float, str]:
    """Return a suitable binary unit for a number of bytes: its size in bytes and its name."""
    return next(((scale, unit) for scale, unit in BYTE_UNITS if abs(value) >= scale), BYTE_UNITS[-1])


def decimal_unit(value: float) -> tuple[float, str]:
    """Return a suitable prefix for a number: its factor and its letter, which may be empty."""
    return next(((scale, unit) for scale, unit in DECIMAL_UNITS if abs(value) >= scale), DECIMAL_UNITS[-1])
