"""Recipient domains: their numbers and providers. The local part is not stored."""

from collections.abc import Collection
from typing import NamedTuple

from stats.intake.mailboxes import domain_of
from stats.intake.numbering import Name, number
from stats.intake.providers import OTHER, Providers
from stats.models import RecipientDomain

_PLATFORM = 0


class Recipient(NamedTuple):
    """A recipient's domain: its number, its provider, and its lower-case A-label."""

    id: int
    provider: int
    domain: str


NOBODY = Recipient(0, OTHER, "")


class Recipients:
    """The domains of recipients by their text as written, for one run of ingestion; their numbers outlive it."""

    def __init__(self, numbers: dict[Name, int], *, today: int) -> None:
        self.providers = Providers()
        self._today = today
        self.begin_anew(numbers)

    def begin_anew(self, numbers: dict[Name, int]) -> None:
        """Clear the cache, and go on with these numbers."""
        self._numbers = numbers
        # None: no domain name.
        self.known: dict[str, Recipient | None] = {}

    def find(self, texts: Collection[str]) -> None:
        """Look up domains, and number those that are new."""
        domains = {text: domain_of(text) for text in texts}
        wanted = {(_PLATFORM, domain) for domain in domains.values() if domain}
        number(RecipientDomain, wanted, self._numbers, today=self._today)
        for text, domain in domains.items():
            self.known[text] = (
                Recipient(self._numbers[_PLATFORM, domain], self.providers.of(domain), domain) if domain else None
            )
