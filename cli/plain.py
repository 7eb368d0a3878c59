"""Text as a terminal may show it."""

BLANKS = "\n\t\u00a0\u202f"  # that a terminal takes as they are, beside the ordinary one


def printable(text: str) -> str:
    """Return a text without what would steer a terminal: names in files of others may hold anything."""
    return "".join(c if c.isprintable() or c in BLANKS else ascii(c)[1:-1] for c in text)
