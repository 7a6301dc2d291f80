"""Classifies SMTP replies: class, signature and matching rule. Pure.

    name, signature, rule = classify("550", "5.1.1", "550 5.1.1 <jane@example.com>: nobody here has that name")

The class follows from the masked text, the two codes and the provider alone. So what was classified is remembered by its
masked text: the next reply that differs only in addresses, numbers and ids costs the masking.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stats.intake import patterns, reply_prefixes, signatures

VERSION = 1

CLASSES = (
    "no_such_mailbox",
    "inactive",
    "mailbox_full",
    "rate_limited",
    "greylisted",
    "blocked",
    "content",
    "authentication",
    "bad_sender",
    "routing",
    "connection",
    "tls",
    "protocol",
    "expired",
    "operator",
    "suppressed",
    "other",
)
_OTHER = CLASSES[-1]
_REMEMBERED = 50_000
# Some 10 MB, and four times as many where the texts are not Latin.
_CHARACTERS_REMEMBERED = 8_000_000
_HERE = Path(__file__).parent
_CODE_ITEM = re.compile(r"[245](?:xx|\d\d)\Z|[245*]\.(?:\d{1,3}|x)\.(?:\d{1,3}|x)\Z")


class BadRule(ValueError):
    """A rule cannot be used; the message says why."""


class Classified(NamedTuple):
    """The classification of a reply."""

    name: str
    signature: str
    rule: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. An empty field holds for every reply. `code`: `550`, `5xx`, `5.7.1`, `*.2.2`, with commas."""

    id: str
    provider: str
    code: str
    pattern: str
    name: str
    source: str = ""


class _Compiled:
    __slots__ = ("codes", "enhanced", "name", "pattern", "provider", "rule")

    def __init__(self, rule: Rule, lexicon: patterns.Lexicon) -> None:
        if rule.name not in CLASSES:
            raise BadRule(f"rule {rule.id}: there is no class {rule.name}")
        items = [item.strip() for item in rule.code.split(",") if item.strip()]
        for item in items:
            if not _CODE_ITEM.match(item):
                raise BadRule(f"rule {rule.id}: {item} is not a reply code or an enhanced code")
        self.rule = rule.id
        self.name = rule.name
        self.provider = rule.provider.strip().casefold()
        self.codes = frozenset(item for item in items if "." not in item)
        self.enhanced = frozenset(item for item in items if "." in item)
        try:
            self.pattern = patterns.compiled(rule.pattern, lexicon)
        except patterns.BadPattern as bad:
            raise BadRule(f"rule {rule.id}: {bad}") from None

    def holds(self, provider: str, codes: set[str], found: patterns.Found) -> bool:
        if self.provider and self.provider != provider:
            return False
        if self.codes and self.codes.isdisjoint(codes):
            return False
        if self.enhanced and self.enhanced.isdisjoint(codes):
            return False
        return self.pattern.holds(found)


class Classifier:
    """A table of rules in the order of their precedence. `words` are the named sets that patterns use. Raises BadRule."""

    def __init__(self, rules: Iterable[Rule], words: dict[str, Sequence[str]]) -> None:
        lexicon = patterns.Lexicon(words)
        self._rules = [_Compiled(rule, lexicon) for rule in rules]
        # Which rules can hold at all, with a bit for each rule: by a place that begins one of their phrases, or always.
        self._begun_by: dict[int, int] = {}
        self._always = 0
        for at, rule in enumerate(self._rules):
            firsts = rule.pattern.firsts()
            if firsts is None:
                self._always |= 1 << at
            for place in firsts or ():
                self._begun_by[place] = self._begun_by.get(place, 0) | 1 << at
        self._lexicon = lexicon
        self._masker = signatures.Masker(lexicon.names)
        self._by_text = _Memory()
        self._by_skeleton = _Memory()

    def classify(self, code: str | None, enhanced: str | None, text: str, provider: str | None = None) -> Classified:
        """Return class, signature and rule of a reply; what is longer than LONGEST_REPLY characters is cut."""
        text = text[: signatures.LONGEST_REPLY]
        as_given = code, enhanced, text, provider
        known = self._by_text.get(as_given)
        if known is None:
            masked = code, enhanced, self._masker.skeleton(text), provider
            known = self._by_skeleton.get(masked)
            if known is None:
                known = self._by_skeleton.remember(masked, self._decided(*masked))
            # What has a mask in it comes once as it is.
            if "<" not in masked[2]:
                self._by_text.remember(as_given, known)
        return known

    def mask(self, text: str) -> str:
        """Return the masked text for people: without mailboxes, ids, and paths of URLs."""
        return self._masker.sample(text)

    def _decided(self, code: str | None, enhanced: str | None, skeleton: str, provider: str | None) -> Classified:
        skeleton = reply_prefixes.unwrapped(skeleton)
        of_text = signatures.codes_of(skeleton)
        code = code or of_text[0]
        enhanced = enhanced or of_text[1]
        # What is classified is what the signature says: replies that have one signature have one class.
        text = signatures.tidied(skeleton)
        signature = signatures.signature(code, enhanced, text)
        found = self._lexicon.find(text)
        codes = _items_for(code, enhanced)
        answers = (provider or "").strip().casefold()
        candidates = self._always
        for place in found:
            candidates |= self._begun_by.get(place, 0)
        while candidates:
            first = candidates & -candidates
            rule = self._rules[first.bit_length() - 1]
            if rule.holds(answers, codes, found):
                return Classified(rule.name, signature, rule.rule)
            candidates ^= first
        return Classified(_OTHER, signature, "none")


def _items_for(code: str, enhanced: str) -> set[str]:
    """Return the code items of rules that match these codes."""
    items = set()
    if code:
        items |= {code, f"{code[:1]}xx"}
    if enhanced.count(".") == 2:
        kind, subject, detail = enhanced.split(".")
        items |= {f"{a}.{b}.{c}" for a in (kind, "*") for b in (subject, "x") for c in (detail, "x")}
    return items


class _Memory(dict[tuple[str | None, str | None, str, str | None], Classified]):
    """What was classified, by codes, text and provider; bounded in number and in characters."""

    _characters = 0

    def remember(self, key: tuple[str | None, str | None, str, str | None], classified: Classified) -> Classified:
        if len(self) >= _REMEMBERED or self._characters >= _CHARACTERS_REMEMBERED:
            self.clear()
            self._characters = 0
        self[key] = classified
        self._characters += len(key[2])
        return classified


def built_in_rules() -> list[Rule]:
    """Return the rows of the table beside this file."""
    return [Rule(*row) for row in _rows("reply_rules.tsv")]


def built_in_words() -> dict[str, Sequence[str]]:
    """Return the named sets of words beside this file."""
    return {name: words.split() for name, words in _rows("reply_words.tsv")}


def _rows(name: str) -> list[list[str]]:
    lines = (_HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:] if line]


def check_rule(rule: Rule) -> None:
    """Raise BadRule if a rule cannot be used; the others need not be read for that."""
    _Compiled(rule, patterns.Lexicon(built_in_words()))


def with_rules(rules: Iterable[Rule]) -> Classifier:
    """Return a classifier with these rules before the built-in ones. Raises BadRule."""
    return Classifier([*rules, *built_in_rules()], built_in_words())


@cache
def built_in() -> Classifier:
    """Return the classifier of the table beside this file, made once."""
    return with_rules(())


def classify(code: str | None, enhanced: str | None, text: str, provider: str | None = None) -> Classified:
    """Return class, signature and rule of a reply by the built-in table."""
    return built_in().classify(code, enhanced, text, provider)


def mask(text: str) -> str:
    """Return the masked text for people; idempotent."""
    return built_in().mask(text)
