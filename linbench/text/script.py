"""Script: data that stand in a script element of a page."""

import base64
import gzip
import json

from markupsafe import Markup


def compressed(data: object) -> Markup:
    """Return data as JSON, packed by gzip and written in base64, whose letters cannot end an element.

    Args:
        data: Frozen dataclasses, tuples, mappings, texts and finite numbers, in each other.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=vars)
    # mtime: the same data give the same letters.
    return Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())


def decompressed(text: str) -> object:
    """Return the plain data that `compressed` wrote."""
    found: object = json.loads(gzip.decompress(base64.b64decode(text)))
    return found
