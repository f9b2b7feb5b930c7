"""Spreadsheet: cells that no spreadsheet reads as a formula."""

from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def escape_formula(value: object) -> object:
    """Return a value with a quote before it if it is text that a spreadsheet would read as a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \n").startswith(FORMULA_STARTS) else value
