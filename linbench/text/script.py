"""Script: data for a script element of a page."""

import base64
import gzip
import json

from markupsafe import Markup


def compress(data: object) -> Markup:
    """Return data as JSON, compressed by gzip and encoded in base64, which cannot end the script element.

    Args:
        data: Frozen dataclasses, tuples, mappings, strings and finite numbers, nested in any way.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=vars)
    # mtime: the output depends on the data alone.
    return Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())


def decompress(text: str) -> object:
    """Return the data that `compress` encoded."""
    data: object = json.loads(gzip.decompress(base64.b64decode(text)))
    return data
