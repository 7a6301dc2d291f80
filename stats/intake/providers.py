"""Finds the mailbox provider of a recipient domain."""

from stats.models import ProviderDomain

OTHER = 0
# `yahoo.*` is yahoo.de and yahoo.co.uk, not yahoo.phishing.example.com.
_MOST_LABELS_OF_AN_ENDING = 2


class Providers:
    """The current patterns, for many look-ups."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._exact: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._endings: dict[str, int] = {}
        rows = ProviderDomain.objects.values_list("pattern", "provider_id", "provider__name")
        for pattern, provider_id, name in rows:
            self.names[provider_id] = name
            if pattern.startswith("*."):
                self._below[pattern[2:]] = provider_id
            elif pattern.endswith(".*"):
                self._endings[pattern[:-2]] = provider_id
            else:
                self._exact[pattern] = provider_id

    def of(self, domain: str) -> int:
        """Return the provider of a domain (a lower-case A-label), 0 if none is known. The nearest pattern wins."""
        if domain in self._exact:
            return self._exact[domain]
        labels = domain.split(".")
        for start in range(1, len(labels)):
            above = ".".join(labels[start:])
            if above in self._below:
                return self._below[above]
        if 1 < len(labels) <= 1 + _MOST_LABELS_OF_AN_ENDING:
            return self._endings.get(labels[0], OTHER)
        return OTHER
