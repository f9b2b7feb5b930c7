"""Terminal: make untrusted text safe to print."""


def printable(text: str) -> str:
    """Return a text without control characters that a terminal would interpret."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
