"""TeX: escape text for LaTeX, without any package, and for matplotlib."""

from collections.abc import Callable
from typing import Final

Letters = Callable[[str], str]
"""A function that escapes any text, so that each of its characters is printed as it is."""

LETTERS: Final = "\u00b5\u00d7\u2013"
TEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "$": r"\textdollar{}",  # matplotlib removes the backslash of \$
        "|": r"\textbar{}",
        '"': "''",  # every font encoding has the single quote
        **{letter: f"\\{letter}" for letter in "&%#_{}"},
        "\u00b5": r"$\mu$",
        "\u00d7": r"$\times$",
    }
)


def printable(text: str) -> str:
    """Return a text in which characters that LaTeX cannot print are written as code points: U+4E2D."""
    return "".join(
        letter if letter in LETTERS or (letter.isascii() and letter.isprintable()) else f"U+{ord(letter):04X}"
        for letter in text
    )


def one_line(text: str) -> str:
    """Return a text as one line of printable characters."""
    return " ".join(printable(text).split())


def typeset(text: str) -> str:
    """Escape a text for LaTeX."""
    return printable(text).translate(TEX).replace("--", "-{}-").replace("\u2013", "--")


def plain(text: str) -> str:
    r"""Escape a text for matplotlib: \$ does not begin a formula."""
    return one_line(text).replace("$", r"\$")
