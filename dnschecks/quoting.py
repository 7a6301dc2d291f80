"""Quotes texts from DNS in sentences."""


def cut(text: str, longest: int) -> str:
    """Return a text, which has a character for each byte, as people typed it (UTF-8, where it is that), cut short."""
    try:
        typed = text.encode("latin-1").decode()
    except UnicodeError:
        typed = text
    return typed if len(typed) <= longest else typed[: longest - 1] + "…"
