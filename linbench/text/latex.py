"""TeX: text that LaTeX, or matplotlib, sets letter by letter, with no package beside its own."""

from collections.abc import Callable
from typing import Final

Letters = Callable[[str], str]
"""What makes letters of a text, whatever is in it."""

LETTERS: Final = "\u00b5\u00d7\u2013"
TEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "$": r"\textdollar{}",  # matplotlib takes the stroke from \$
        "|": r"\textbar{}",
        '"': "''",  # of which every encoding of letters has one
        **{letter: f"\\{letter}" for letter in "&%#_{}"},
        "\u00b5": r"$\mu$",
        "\u00d7": r"$\times$",
    }
)


def printable(text: str) -> str:
    """Return a text in which what LaTeX has no letter for is spelled out: U+4E2D."""
    return "".join(
        letter if letter in LETTERS or (letter.isascii() and letter.isprintable()) else f"U+{ord(letter):04X}"
        for letter in text
    )


def one_line(text: str) -> str:
    """Return a text as one line of printable letters."""
    return " ".join(printable(text).split())


def typeset(text: str) -> str:
    """Return a text as LaTeX sets it letter by letter."""
    return printable(text).translate(TEX).replace("--", "-{}-").replace("\u2013", "--")


def plain(text: str) -> str:
    r"""Return a text as matplotlib sets it letter by letter: \$ begins no formula."""
    return one_line(text).replace("$", r"\$")
