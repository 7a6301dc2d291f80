"""The class and signature of each SMTP reply, cached for one run of ingestion."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from stats import reasons
from stats.intake import replies
from stats.intake.details import MOST_REPLY, Details
from stats.intake.effort import spend_on_reply
from stats.intake.numbering import Name, number
from stats.intake.replies import Classifier, Rule
from stats.models import ReplyRule, Signature

_PLATFORM = 0
# Replies that are remembered: of many kinds, each is there once for each text.
_MOST_REMEMBERED = 50_000
# What is classified: the reply's details, and the provider of the recipient.
type Reply = tuple[int | None, str | None, str | None, int]


class Explained(NamedTuple):
    """The number of a class (stats.reasons) and the id of a signature."""

    reason: int
    signature: int


NOTHING = Explained(0, 0)


def classifier() -> Classifier:
    """Return the current rules: the operators' before the built-in ones."""
    rows = ReplyRule.objects.values_list("pk", "provider", "code", "pattern", "reason")
    own = [
        Rule(f"own-{pk}", provider, code, pattern, reasons.WORDS[reason])
        for pk, provider, code, pattern, reason in rows
    ]
    return replies.with_rules(own) if own else replies.built_in()


def reply_of(details: Details, provider: int) -> Reply | None:
    """Return the reply of an event, or None."""
    if details.code is None and details.enhanced is None and details.reply is None:
        return None
    return details.code, details.enhanced, details.reply, provider


class Explanations:
    """Classified replies by their text."""

    def __init__(self, providers: dict[int, str], *, today: int) -> None:
        self.known: dict[Reply, Explained] = {}
        self._providers, self._today = providers, today
        self._classifier: Classifier | None = None
        self._numbers: dict[Name, int] = {}

    def find(self, wanted: Iterable[Reply]) -> None:
        """Classify replies, and number the signatures that are new."""
        new = [reply for reply in wanted if reply not in self.known]
        if not new:
            return
        if self._classifier is None:
            self._classifier = classifier()
        found: dict[Reply, tuple[int, Name]] = {}
        samples: dict[Name, Reply] = {}
        for reply in new:
            code, enhanced, text, provider = reply
            spend_on_reply(text or "")
            said = self._classifier.classify(
                None if code is None else str(code), enhanced, text or "", self._providers.get(provider)
            )
            name = _PLATFORM, hashlib.sha256(said.signature.encode()).hexdigest()
            found[reply] = reasons.NUMBERS[said.name], name
            samples.setdefault(name, reply)
        number(Signature, samples, self._numbers, today=self._today, new=lambda name: self._columns(samples[name]))
        for reply, (reason, name) in found.items():
            self.known[reply] = Explained(reason, self._numbers[name])

    def evict(self) -> None:
        """Clear the cache if it is large."""
        if len(self.known) > _MOST_REMEMBERED:
            self.known.clear()

    def _columns(self, reply: Reply) -> dict[str, object]:
        """Return the stored columns of a signature's first reply: its codes, and its masked text."""
        assert self._classifier is not None
        code, enhanced, text, _ = reply
        return {"code": code or 0, "enhanced": enhanced or "", "text": self._classifier.mask(text or "")[:MOST_REPLY]}


def reason_of(signature: Signature, provider: str | None, rules: Classifier) -> int:
    """Return the class of a signature's replies from a provider, by these rules."""
    code = str(signature.code) if signature.code else None
    return reasons.NUMBERS[rules.classify(code, signature.enhanced or None, signature.text, provider).name]
