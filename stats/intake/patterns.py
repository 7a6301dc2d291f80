"""The pattern language of reply rules: words in a reply, adjacent or near each other. Pure.

    mailbox full                 the words, one after the other
    mailbox/account/inbox full   one of the words at this place
    mailbox ~ full               `full` at most six words after `mailbox`
    BOX ~~ FULL                  the same in either order; BOX and FULL are named sets of words
    reject*                      a word that begins so
    a b | c d                    one of the phrases
    a + b                        both, anywhere
    a + ! b | c                  `a`, and neither `b` nor `c`

No regular expression is made of a pattern. A reply becomes one number a word, with a bit for each place where the word
stands; a phrase is a few shifts and ANDs of these numbers. So no reply makes a pattern slow: the cost depends on the
pattern's length alone.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A reply of 1,000 characters has fewer, unless it is made to be slow.
MOST_WORDS = 200
_WORDS_REMEMBERED = 20_000
# Longer words are made up, and would be most of what is remembered.
_LONGEST_REMEMBERED = 100


def words(text: str) -> frozenset[str]:
    """Return the words of a text in source code."""
    return frozenset(text.split())


# Filler words between the significant ones: patterns ignore them.
_FILLERS = words("""
    a an the is are was were be been being has have had this that these those your you our of to for in on at by with and
    or it its we will would there so very currently please
    der die das dem den des ein eine einer ist wurde wird von zu im ihre ihr ihrer und
    le la les de du des est un une votre vos et en au el los las su una es il lo gli di da un uno suo e os uma seu sua da do
    para het een uw van jest je na do l d s
""")
# Han, kana, hangul: written without blanks, so each character is a word.
_IDEOGRAPHS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
_WORD = re.compile(rf"<[a-z]+>|[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")
# "RecipientNotFound" (Exchange, KumoMTA), "l'utilisateur n'existe pas".
_SEAM = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=\b[DLNSdlns])['’](?=\w)|(?<=\b(?:un|qu))['’](?=\w)|(?<=\b(?:al|de)l)['’](?=\w)"
)
_MARK = re.compile(r"<[a-z]+>\Z")
_SET_NAME = re.compile(r"[A-Z][A-Z_]*\Z")


class BadPattern(ValueError):
    """The pattern is invalid; the message says why."""


def fold(text: str) -> str:
    """Return the text in lower case, without accents and apostrophes, so that equal words are equal."""
    folded = text.casefold()
    if not folded.isascii():
        decomposed = unicodedata.normalize("NFKD", folded)
        folded = "".join(each for each in decomposed if not unicodedata.combining(each)).replace("’", "")
    return folded.replace("'", "")


class Lexicon:
    """The numbered positions of all patterns of a table, with their possible words.

    A place names many words (`BOX` more than a hundred), and many patterns have it: so it is looked for once in a reply.
    """

    def __init__(self, sets: Mapping[str, Sequence[str]]) -> None:
        self._sets = sets
        # By what patterns say: the same sets of words stand in many of them.
        self._numbers_by_part: dict[str, int] = {}
        self._numbers: dict[frozenset[tuple[str, ...]], int] = {}
        self._words: dict[str, list[int]] = {}
        self._beginnings: dict[str, list[int]] = {}
        self._lengths: tuple[int, ...] = ()
        # Words of ideographs are several in a row: (number of the place, the words).
        self._sequences: list[tuple[int, tuple[str, ...]]] = []
        self._in_sequences: set[str] = set()
        self._known: dict[str, list[int]] = {}

    def place(self, part: str) -> int:
        """Return the number of a pattern's place: words or names of sets, separated by `/`. Raises BadPattern."""
        known = self._numbers_by_part.get(part)
        if known is not None:
            return known
        alternatives: set[tuple[str, ...]] = set()
        for word in part.split("/"):
            if _SET_NAME.match(word):
                if word not in self._sets:
                    raise BadPattern(f"there is no word set {word}")
                alternatives.update(_words_of(each) for each in self._sets[word])
            else:
                alternatives.add(_words_of(word))
        key = frozenset(alternatives)
        number = self._numbers.get(key)
        if number is None:
            self._known.clear()
            number = self._numbers[key] = len(self._numbers)
            for alternative in alternatives:
                self._learn(number, alternative)
        self._numbers_by_part[part] = number
        return number

    def _learn(self, number: int, alternative: tuple[str, ...]) -> None:
        if len(alternative) > 1:
            self._sequences.append((number, alternative))
            self._in_sequences.update(alternative)
        elif alternative[0].endswith("*"):
            self._beginnings.setdefault(alternative[0][:-1], []).append(number)
            self._lengths = tuple(sorted({len(each) for each in self._beginnings}))
        else:
            self._words.setdefault(alternative[0], []).append(number)

    def _numbers_of(self, word: str) -> list[int]:
        known = self._known.get(word)
        if known is not None:
            return known
        found = list(self._words.get(word, ()))
        for length in self._lengths:
            if length > len(word):
                break
            found += self._beginnings.get(word[:length], ())
        if len(word) <= _LONGEST_REMEMBERED:
            if len(self._known) >= _WORDS_REMEMBERED:
                self._known.clear()
            self._known[word] = found
        return found

    def names(self, word: str) -> bool:
        """Return whether a pattern contains exactly this word."""
        return fold(word) in self._words

    def find(self, text: str) -> "Found":
        """Return, for each position whose words occur in the text, a number with two bits for each word of the text.

        The even ones are the words, the odd ones the masks between them: "mailbox <address> full" is "mailbox full" as well.
        """
        standing: dict[str, int] = {}
        bit = 2
        for word in _WORD.findall(fold(_SEAM.sub(" ", text)))[:MOST_WORDS]:
            if word in _FILLERS:
                continue
            if word[0] == "<":
                standing[word] = standing.get(word, 0) | bit >> 1
            else:
                standing[word] = standing.get(word, 0) | bit
                bit <<= 2
        found: Found = {}
        for word, where in standing.items():
            for number in self._numbers_of(word):
                found[number] = found.get(number, 0) | where
        if not self._in_sequences.isdisjoint(standing):
            self._find_sequences(standing, found)
        return found

    def _find_sequences(self, standing: dict[str, int], found: "Found") -> None:
        for number, sequence in self._sequences:
            here = standing.get(sequence[0], 0)
            for word in sequence[1:]:
                if not here:
                    break
                here = here << 2 & standing.get(word, 0)
            if here:
                # It is noted where it begins, as other words are.
                found[number] = found.get(number, 0) | here >> 2 * (len(sequence) - 1)


type Found = dict[int, int]


def _next(places: int) -> int:
    """Return the places of the next word, and of a mask before it."""
    return places << 1 | places << 2


def _reach(places: int) -> int:
    """Return the places up to the sixth next word."""
    near = places << 1 | places << 2
    near |= near << 2
    return near | near << 4 | near << 8


@dataclass(frozen=True, slots=True)
class _Phrase:
    """The first place and, for each further one, how it is joined: `""` next, `~` after, `~~` near."""

    first: int
    rest: tuple[tuple[str, int], ...]

    def stands_in(self, found: Found) -> bool:
        here = found[self.first]
        for join, number in self.rest:
            there = found.get(number, 0)
            if not there:
                return False
            if join == "~":
                here = _reach(here) & there
            elif join == "":
                here = _next(here) & there
            else:
                # What comes next is counted from the later of the two.
                here = (_reach(here) | here) & there | _reach(there) & here
            if not here:
                return False
        return True


@dataclass(frozen=True, slots=True)
class _Term:
    """One of the phrases occurs in the reply, or if negated, none does."""

    wanted: bool
    phrases: tuple[_Phrase, ...]

    def holds(self, found: Found) -> bool:
        for phrase in self.phrases:
            if phrase.first in found and phrase.stands_in(found):
                return self.wanted
        return not self.wanted


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, which matches if all its terms match."""

    terms: tuple[_Term, ...]

    def firsts(self) -> set[int] | None:
        """Return places of which one is found where the pattern holds; None if it may hold without any."""
        for term in self.terms:
            if term.wanted:
                return {phrase.first for phrase in term.phrases}
        return None

    def holds(self, found: Found) -> bool:
        """Return whether a reply matches the pattern."""
        return all(term.holds(found) for term in self.terms)


def compiled(pattern: str, lexicon: Lexicon) -> Pattern:
    """Compile a pattern. An empty one matches every reply. Raises BadPattern."""
    terms = []
    for term in pattern.split(" + ") if pattern.strip() else ():
        stripped = term.strip()
        phrases = stripped.removeprefix("! ").split(" | ")
        terms.append(_Term(not stripped.startswith("! "), tuple(_phrase(each, lexicon) for each in phrases)))
    return Pattern(tuple(terms))


def _phrase(text: str, lexicon: Lexicon) -> _Phrase:
    places: list[tuple[str, int]] = []
    join = ""
    for part in text.split():
        if part in ("~", "~~"):
            if join or not places:
                raise BadPattern(f"“{part}” stands between two words: {text.strip()}")
            join = part
        else:
            places.append((join, lexicon.place(part)))
            join = ""
    if join or not places:
        raise BadPattern(f"a phrase ends in a word: {text.strip() or 'an empty one'}")
    return _Phrase(places[0][1], tuple(places[1:]))


def _words_of(word: str) -> tuple[str, ...]:
    """Return the words of one item of a pattern: several for ideographs and hyphens. Raises BadPattern."""
    if _MARK.match(word):
        return (word,)
    found = [each for each in _WORD.findall(fold(word.removesuffix("*"))) if each not in _FILLERS]
    if not found or (word.endswith("*") and len(found) > 1):
        raise BadPattern(f"“{word}” is not a word that is searched for in replies")
    return (found[0] + "*",) if word.endswith("*") else tuple(found)
