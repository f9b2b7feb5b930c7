"""Row: a measurement as a database holds it: columns, and samples packed."""

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
    """Return the samples that `pack` packed."""
    numbers = array("f")
    numbers.frombytes(blob)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def storable(text: str | None) -> str | None:
    """Return a text with NUL and lone surrogates spelled out: a database takes neither."""
    return text and text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def channels(blobs: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return what the columns of `samples` hold, by channel."""
    return {name: unpack(blobs[name]) for name in CHANNELS}


def problems(row: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a row, and with its samples where they were read with it."""
    try:
        time = from_row(row).time
    except (KeyError, ValueError) as error:
        return [f"cannot be read: {error}"]
    is_absent = row["time_s"] is None
    may_be_absent = time is None or row["imported_from"] is not None  # a file may hold no samples
    if is_absent:
        return [] if may_be_absent else ["has a median and no samples"]
    if time is None:
        return ["has samples and no median"]
    due = {name: (0, time.n) if name != "time_s" else (time.n,) for name in CHANNELS}
    lengths = {name: len(row[name] or b"") // 4 for name in CHANNELS}
    return [
        f"has {lengths[name]} of {name} where {time.n} are due"
        for name in CHANNELS
        if lengths[name] not in due[name]
    ]
