"""The data that a page embeds for its script."""

import re

from linbench.text.script import decompress


def compressed(html, element="data"):
    """Return the raw content of a data element of a page."""
    return re.search(rf'<script type="application/gzip" id="{element}">(.*?)</script>', html, re.DOTALL)[1]


def embedded(html, element="data"):
    """Return the data in an element of a page."""
    return decompress(compressed(html, element))


def dense(html):
    """Return a page without white space between its elements."""
    return re.sub(r">\s+<", "><", html)
