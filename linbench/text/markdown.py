"""Markdown: texts from outside that stay letters, as code or in a cell of a table."""

import re
from typing import Final

from linbench.text.latex import one_line
from linbench.text.terminal import printable

PLAIN: Final = frozenset(" .,:;+%/=()'\"\u2192\u00b5")


def code(text: str) -> str:
    """Return a text as code in Markdown that nothing in it can leave: no markup, no link, no mention."""
    safe = "".join(
        letter if letter.isalnum() or letter in PLAIN else f"&#{ord(letter)};"
        for letter in printable(text.replace("\n", " "))
    )
    return f"<code>{safe}</code>" if safe else ""


def letters(text: str) -> str:
    """Return a text that Markdown takes for letters, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$])", r"\\\1", one_line(text))
