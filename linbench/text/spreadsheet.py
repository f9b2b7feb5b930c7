"""Spreadsheet: cells that none takes for a formula."""

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> object:
    """Return a text that a spreadsheet will not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \n").startswith(FORMULA_STARTS) else value
