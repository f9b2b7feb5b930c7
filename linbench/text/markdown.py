"""Markdown: escape untrusted text, as code or in a table cell."""

import re
from typing import Final

from linbench.text.latex import one_line
from linbench.text.terminal import printable

PLAIN: Final = frozenset(" .,:;+%/=()'\"\u2192\u00b5")


def code(text: str) -> str:
    """Return a text as inline code of Markdown, so that it cannot contain markup, a link or a mention."""
    safe = "".join(
        letter if letter.isalnum() or letter in PLAIN else f"&#{ord(letter)};"
        for letter in printable(text.replace("\n", " "))
    )
    return f"<code>{safe}</code>" if safe else ""


def letters(text: str) -> str:
    """Escape a text for Markdown, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$])", r"\\\1", one_line(text))
