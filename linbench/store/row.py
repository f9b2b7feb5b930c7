"""Row: a measurement as stored in a database: columns, and samples as bytes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from linbench.core.row import from_row
from linbench.core.samples import CHANNELS


def pack(values: Sequence[float]) -> bytes:
    """Return samples as little-endian float32."""
    numbers = array("f", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack(blob: bytes) -> list[float]:
    """Return the samples in the bytes of `pack`."""
    numbers = array("f")
    numbers.frombytes(blob)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def storable(text: str | None) -> str | None:
    """Return a text with NUL and lone surrogates escaped, because databases accept neither."""
    return text and text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def channels(blobs: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the samples of a row of the table `samples`, by channel."""
    return {name: unpack(blobs[name]) for name in CHANNELS}


def row_problems(row: Mapping[str, Any]) -> list[str]:
    """Return the problems of a row and of its samples."""
    try:
        time = from_row(row).time
    except (KeyError, ValueError) as error:
        return [f"cannot be read: {error}"]
    is_absent = row["time_s"] is None
    may_be_absent = time is None or row["imported_from"] is not None  # a file may contain no samples
    if is_absent:
        return [] if may_be_absent else ["has a median but no samples"]
    if time is None:
        return ["has samples but no median"]
    expected = {name: (0, time.n) if name != "time_s" else (time.n,) for name in CHANNELS}
    lengths = {name: len(row[name] or b"") // 4 for name in CHANNELS}
    return [
        f"the length of {name} is {lengths[name]}, expected {time.n}"
        for name in CHANNELS
        if lengths[name] not in expected[name]
    ]
