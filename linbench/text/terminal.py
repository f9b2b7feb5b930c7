"""Terminal: texts from outside that may be printed."""


def printable(text: str) -> str:
    """Return a text without anything that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
