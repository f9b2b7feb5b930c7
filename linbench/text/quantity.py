"""Parse counts, sizes, durations and percentages as people type them: 64k, 1k..64k, 12GiB, 10m, 1%."""

import re
from typing import Final

LARGEST_COUNT: Final = 2**31 - 1
_COUNT = re.compile(r"(\d+)([kKmM]?)")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:i?[bB])?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_POWER: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_count(text: str) -> int:
    """Parse a positive integer; k is 1024 and M is 1024 squared.

    Raises:
        ValueError: `text` is not a positive count.
    """
    match = _COUNT.fullmatch(text.strip())
    value = int(match[1]) * 1024 ** _POWER[match[2].lower()] if match else 0
    if not 1 <= value <= LARGEST_COUNT:
        raise ValueError(f"{text!r} is not a positive count; write one like 512, 64k or 1M")
    return value


def parse_counts(text: str) -> tuple[int, ...]:
    """Parse a list of counts and ranges: "1k,4k..32k" is 1024, 4096, 8192, 16384, 32768.

    A range doubles from its first value up to its last, which is included even if doubling misses it.

    Raises:
        ValueError: A part is not a count, or a range runs backwards.
    """
    values: list[int] = []
    for part in text.split(","):
        first, dots, last = part.partition("..")
        low = parse_count(first)
        high = parse_count(last) if dots else low
        if high < low:
            raise ValueError(f"the range {part!r} runs backwards; write {last}..{first}")
        while low < high:
            values.append(low)
            low *= 2
        values.append(high)
    return tuple(dict.fromkeys(values))


def parse_bytes(text: str) -> int:
    """Parse a size in bytes; k, M, G and T are powers of 1024.

    Raises:
        ValueError: `text` is not a positive size.
    """
    match = _BYTES.fullmatch(text.strip())
    value = int(float(match[1]) * 1024 ** _POWER[match[2].lower()]) if match else 0
    if value < 1:
        raise ValueError(f"{text!r} is not a size; write one like 800M or 12GiB")
    return value


def parse_duration(text: str) -> float:
    """Parse a duration to seconds: 90, 90s, 500ms, 10m or 2h.

    Raises:
        ValueError: `text` is not a positive duration.
    """
    match = _DURATION.fullmatch(text.strip())
    value = float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0
    if value <= 0:
        raise ValueError(f"{text!r} is not a duration; write one like 90s, 10m or 2h")
    return value


def parse_percent(text: str) -> float:
    """Parse a percentage to a fraction: 1% is 0.01.

    Raises:
        ValueError: `text` is not a positive percentage.
    """
    match = _PERCENT.fullmatch(text.strip())
    value = float(match[1]) / 100 if match else 0.0
    if value <= 0:
        raise ValueError(f"{text!r} is not a percentage; write one like 1% or 0.5%")
    return value
