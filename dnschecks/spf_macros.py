"""SPF macros (RFC 7208, 7): parsing and expansion."""

import re
import string
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from dnschecks.quoting import cut

LONGEST_NAME = 253
# In domain-specs; an explanation's text knows three more.
LETTERS = frozenset("slodipvh")
EXPLANATION_LETTERS = LETTERS | frozenset("crt")
_PIECE = re.compile(
    r"%\{(?P<letter>[A-Za-z])(?P<digits>[0-9]*)(?P<reverse>[rR]?)(?P<delimiters>[-.+,/_=]*)\}|%(?P<escape>[%_-])"
)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_LITERAL = frozenset(chr(code) for code in range(0x21, 0x7F)) - {"%"}
# 7.1: "." toplabel [ "." ]: letters, digits and inner hyphens, not all digits.
_TOP_LABEL = re.compile(r"\.(?=[A-Za-z0-9-]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?\Z")
_UNRESERVED = string.ascii_letters + string.digits + "-._~"


class BadMacro(ValueError):
    """The text is not a macro-string, or not a domain-spec."""


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{ir.}`: the value of a letter, split, reversed, truncated and joined by dots."""

    letter: str
    # Of the parts, so many from the right; None: all.
    parts: int | None
    is_reversed: bool
    delimiters: str
    is_escaped: bool

    def expand(self, value: str) -> str:
        """Return the expansion of the macro for the letter's `value`."""
        split = re.split(f"[{re.escape(self.delimiters or '.')}]", value)
        if self.is_reversed:
            split.reverse()
        if self.parts is not None:
            split = split[-self.parts :]
        joined = ".".join(split)
        return urllib.parse.quote(joined, safe=_UNRESERVED) if self.is_escaped else joined


@dataclass(frozen=True, slots=True)
class MacroString:
    """A parsed macro-string: literal texts and macros, in order."""

    text: str
    pieces: tuple[str | Macro, ...]

    def expand(self, value_of: Callable[[str], str]) -> str:
        """Return the text with every macro replaced; `value_of` is given lower-case letters."""
        return "".join(
            piece if isinstance(piece, str) else piece.expand(value_of(piece.letter)) for piece in self.pieces
        )

    def expand_to_name(self, value_of: Callable[[str], str]) -> str:
        """Return the domain name that it becomes, cut from the left to 253 characters (7.3), without the last dot."""
        name = self.expand(value_of).removesuffix(".")
        if len(name) <= LONGEST_NAME:
            return name
        # Label by label from the left, a long one would be copied once for each.
        dot = name.find(".", len(name) - LONGEST_NAME - 1)
        return name[dot + 1 :] if dot >= 0 else name.rpartition(".")[2]


def macro_string(text: str) -> MacroString:
    """Parse a macro-string; raises BadMacro."""
    return _parse(text, LETTERS, _LITERAL)


def explanation(text: str) -> MacroString:
    """Parse the text of an explanation, which may hold blanks and three more letters; raises BadMacro."""
    return _parse(text, EXPLANATION_LETTERS, _LITERAL | {" "})


def domain_spec(text: str) -> MacroString:
    """Parse a domain-spec: a macro-string that ends with a top label or a macro; raises BadMacro."""
    parsed = macro_string(text)
    if not parsed.pieces:
        raise BadMacro("a domain name is missing")
    ends_with_macro = isinstance(parsed.pieces[-1], Macro) or text.endswith(("%%", "%_", "%-"))
    if not ends_with_macro and not _TOP_LABEL.search(text):
        raise BadMacro(f"“{text}” is not a domain name")
    return parsed


def _parse(text: str, letters: frozenset[str], literal: frozenset[str]) -> MacroString:
    pieces: list[str | Macro] = []
    at = 0
    while at < len(text):
        if text[at] != "%":
            end = text.find("%", at)
            piece = text[at:] if end < 0 else text[at:end]
            if not literal.issuperset(piece):
                raise BadMacro(f"“{_shown(text)}” holds a character that is not allowed")
            pieces.append(piece)
            at += len(piece)
            continue
        match = _PIECE.match(text, at)
        if match is None:
            raise BadMacro(f"“{_shown(text)}” has a “%” that begins no macro")
        pieces.append(_ESCAPES[match["escape"]] if match["escape"] else _macro(match, letters))
        at = match.end()
    return MacroString(text, tuple(pieces))


def _macro(match: re.Match[str], letters: frozenset[str]) -> Macro:
    letter = match["letter"].lower()
    if letter not in letters:
        raise BadMacro(f"there is no macro “{_shown(match[0])}” here")
    digits = match["digits"].lstrip("0")
    if match["digits"] and not digits:
        raise BadMacro(f"“{_shown(match[0])}” keeps 0 parts")
    return Macro(
        letter=letter,
        # A name has at most 127 labels: what is longer than three digits keeps all.
        parts=None if not digits or len(digits) > 3 else int(digits),
        is_reversed=bool(match["reverse"]),
        delimiters=match["delimiters"],
        is_escaped=match["letter"].isupper(),
    )


def _shown(text: str) -> str:
    return cut(text, 80)
