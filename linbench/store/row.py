"""Row: a measurement as a database holds it: columns, and samples packed."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from linbench.core.measurement import Measurement
from linbench.store.schema import BESIDE_SAMPLES

CASE_COLUMNS = ("B", "T", "H", "K", "V", "dtype", "mode", "device", "options", "seed")
SAMPLE_COLUMNS = ("samples_s", *BESIDE_SAMPLES)


def pack(values: Sequence[float]) -> bytes:
    """Return samples as little-endian float32."""
    packed = array("f", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(blob: bytes) -> list[float]:
    """Return the samples that `pack` packed."""
    packed = array("f")
    packed.frombytes(blob)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


def storable(text: str | None) -> str | None:
    """Return a text with NUL and lone surrogates spelled out: a database takes neither."""
    return text and text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def sequences(blobs: Mapping[str, Any]) -> dict[str, Sequence[float]]:
    """Return what the columns of `samples` hold, by name; empty where one is null."""
    found: dict[str, Sequence[float]] = {name: tuple(unpack(blobs[name] or b"")) for name in SAMPLE_COLUMNS}
    return found | {"switches": tuple(map(int, found["switches"]))}


def measurement(row: Mapping[str, Any], taken: Mapping[str, Sequence[float]] | None) -> Measurement:
    """Return the measurement of a row of columns, with its samples where they were read."""
    case = {name: row[name] for name in CASE_COLUMNS}
    return Measurement.from_row({**row, "case": case}, taken)


def problems(row: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a row, beside its samples and where its run was imported from."""
    found = []
    try:
        measurement(row, None)
    except (KeyError, TypeError, ValueError) as error:
        found.append(f"cannot be read: {error}")
    blob = row["samples_s"]
    left_out = blob is None and row["imported_from"] is not None  # a file may hold no samples
    if (blob is None) != (row["median_s"] is None) and not left_out:
        found.append("has a median and no samples" if blob is None else "has samples and no median")
    if blob is not None:
        if len(blob) != 4 * row["n"]:
            found.append(f"has {len(blob) // 4} samples where {row['n']} are named")
        for name in BESIDE_SAMPLES:
            beside = row[name] or b""
            if len(beside) not in (0, len(blob)):
                found.append(f"has {len(beside) // 4} of {name} where {row['n']} are due")
    return found
