"""Describes the error in TXT records that are almost right. Pure.

Forms of DNS hosts take what is pasted as it is: quotation marks and blanks then become part of the record, and receivers, who
compare exactly, do not find it.
"""

import re
import unicodedata

from core.names import without_invisible

_QUOTES = "\"'`“”„«»‘’"
# With the blanks that text editors leave: no-break, zero width, byte order mark.
_BLANKS = " \t\r\n\u00a0\u200b\ufeff"
# Sender ID's record (RFC 4406) is another one, and right as it is.
_LIKE_SPF = re.compile(r"(?:v\s*=\s*)?spf(?!2\.0/)", re.IGNORECASE)
_VERSION = re.compile(r"v=spf1", re.IGNORECASE)
# Modifiers of these names do not exist, so receivers ignore them (RFC 7208, 6).
_AS_MODIFIER = re.compile(r"(?: |\A)((?:include|ip4|ip6|mx|a|ptr|exists)=[^ ]+)", re.IGNORECASE)


def unwrapped(text: str) -> tuple[str, str]:
    """Return the text without quotation marks and blanks around it, and what is wrong with them ("" where there are none).

    Also without the backslashes that semicolons have in zone files.
    """
    typed = _typed(text)
    inner = typed.strip(_BLANKS + _QUOTES)
    ends = typed[: len(typed) - len(typed.lstrip(_BLANKS + _QUOTES))] + typed[len(typed.rstrip(_BLANKS + _QUOTES)) :]
    if set(ends) & set(_QUOTES):
        return inner.replace("\\;", ";"), "it has quotation marks as part of its text: remove them"
    if "\\;" in inner:
        return inner.replace("\\;", ";"), "it has backslashes before its semicolons: remove them"
    if typed[:1] and typed[0] in _BLANKS:
        return inner, "it begins with a blank: remove it"
    return (inner, "it ends with a blank: remove it") if ends else (inner, "")


def special_fault(text: str) -> str:
    """Return what is wrong with a text that looks right: it has characters that cannot be seen, or told from blanks."""
    return _special(_typed(text))


def _special(typed: str) -> str:
    if without_invisible(typed) != typed:
        return "it has characters that are not shown: type it again, or remove them"
    if any(char != " " and unicodedata.category(char) == "Zs" for char in typed):
        return "it has no-break spaces, which look like blanks: replace them with blanks"
    return ""


def _typed(text: str) -> str:
    # Answers hold a character for each byte; what a person typed is UTF-8.
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def spf_fault(text: str) -> str:
    """Return why receivers do not take a text for the SPF record that it was meant for; "" where it was meant for none."""
    inner, fault = unwrapped(text)
    if not _LIKE_SPF.match(without_invisible(inner)):
        return ""
    if special := _special(inner):
        return special
    version = _VERSION.match(inner)
    if version is None or inner[version.end() :][:1].isdigit():
        return "it must begin with “v=spf1”, in these characters and followed by a blank"
    after = inner[version.end() :]
    if not after or after[0] == " ":
        return fault
    if after[0].isalnum() or after[0] in "+-~?":
        return "a blank is missing after “v=spf1”"
    return f"“v=spf1” must be followed by a blank, not by “{after[0]}”"


def spf_ignored(text: str) -> str:
    """Return the first term of an SPF record that receivers ignore, because it has an equals sign for a colon; "" for none."""
    found = _AS_MODIFIER.search(text)
    return found[1] if found else ""


def token_fault(text: str, expected: str) -> str:
    """Return in what a text differs from `expected`, two words, where it was meant for it; "" where it is something else."""
    inner, fault = unwrapped(text)
    prefix, token = expected.split(" ")
    if inner == expected:
        return fault
    words = inner.replace("=", " ").replace(":", " ").split()
    if [each.strip(_QUOTES) for each in words] == [prefix, token]:
        return f"there must be one blank between “{prefix}” and the token, and nothing else"
    if inner == token:
        return f"“{prefix} ” is missing before the token"
    if [each.casefold() for each in words] == [prefix, token.casefold()]:
        return "capital and small letters differ"
    if words and "".join(words).casefold() == f"{prefix}{token}".casefold():
        return "the blanks in it are wrong: one after the first word, none in the token"
    return ""
