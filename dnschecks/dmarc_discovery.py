"""Finds the DMARC record that applies to a domain without one: the tree walk of RFC 9989, 4.10.

It needs no list of public suffixes, and where RFC 7489 (which has one) finds a record, the walk finds the same.
"""

from dataclasses import dataclass

from dnschecks import dmarc
from dnschecks.resolver import Answer, Resolver

# Of a longer name, the walk leaves out all but the last seven labels.
MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Inherited:
    """The record of a parent domain that applies. `policy`: none, quarantine or reject, after `sp=` and `np=`."""

    name: str
    text: str
    policy: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """The result of the tree walk, and its DNS answers; `inherited` None: no record applies."""

    inherited: Inherited | None
    answers: tuple[Answer, ...]

    @property
    def is_failure(self) -> bool:
        return any(each.is_failure for each in self.answers)


@dataclass(frozen=True, slots=True)
class _Found:
    domain: str
    text: str
    policy: dmarc.Policy

    @property
    def is_of_suffix(self) -> bool:
        # Registries published before `psd=` existed (RFC 9091): a top-level domain is never an organizational domain.
        return self.policy.psd == "y" or (self.policy.psd != "n" and "." not in self.domain)


def discover(name: str, resolver: Resolver, *, exists: bool) -> Discovery:
    """Find the record of a parent domain; `exists` says whether the name exists in DNS (`np=`)."""
    found: list[_Found] = []
    answers: list[Answer] = []
    for parent in _parents(name):
        answer = resolver.ask(f"_dmarc.{parent}", "TXT")
        answers.append(answer)
        if answer.is_failure:
            break
        record = _record(parent, answer)
        if record is None:
            continue
        found.append(record)
        if record.policy.psd in ("y", "n"):
            break
    counting = _counting(name, found)
    if counting is None:
        return Discovery(None, tuple(answers))
    policy = counting.policy
    word = policy.sp if exists or policy.np is None else policy.np
    return Discovery(Inherited(f"_dmarc.{counting.domain}", counting.text, word), tuple(answers))


def _parents(name: str) -> list[str]:
    labels = name.split(".")
    begin = 1 if len(labels) <= MOST_LABELS else len(labels) - MOST_LABELS + 1
    return [".".join(labels[at:]) for at in range(begin, len(labels))]


def _record(domain: str, answer: Answer) -> _Found | None:
    texts = [text for text in answer.texts if dmarc.is_record(text)]
    # Several count as none, and so does one that receivers ignore.
    policy = dmarc.as_received(texts[0]) if len(texts) == 1 else None
    return None if policy is None else _Found(domain, texts[0], policy)


def _counting(name: str, found: list[_Found]) -> _Found | None:
    """Return the organizational domain's record, else the public suffix's."""
    if not found:
        return None
    last = found[-1]
    if not last.is_of_suffix:
        # It says so itself (psd=n), or it has the fewest labels of all.
        return last
    # The organizational domain is one label below the suffix; it may have no record, or be the domain itself.
    labels = name.split(".")
    below = ".".join(labels[-(last.domain.count(".") + 2) :])
    return next((each for each in found if each.domain == below), last)
