import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q

# No check is planned for later, and no claim lasts longer: such a time was written by a clock that was ahead.
LATEST = datetime.timedelta(days=2)
# A next check this far away is not planned: the demo's names exist in no DNS, so only a person asks for them.
UNPLANNED = datetime.timedelta(days=3_660)


class DNSStatus(models.TextChoices):
    """The result of a DNS check; null before the first check."""

    OK = "ok", "OK"
    MISSING = "missing", "Missing"
    INVALID = "invalid", "Invalid"


def status_field() -> "models.CharField[str | None, str | None]":
    """A column for a status; each check has one, and an `_error` beside it."""
    return models.CharField(max_length=7, choices=DNSStatus.choices, null=True, editable=False)


def error_field() -> "models.TextField[str, str]":
    """The sentence of a status: what to change, or why the check failed."""
    return models.TextField(blank=True, editable=False)


def is_known_status(field: str) -> Q:
    """The condition of a constraint: null or one of the statuses."""
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__in": DNSStatus.values})


class DNSCheckedQuerySet[Row: models.Model](models.QuerySet[Row]):
    def due(self, at: datetime.datetime) -> Self:
        """Rows that are due and unclaimed, the longest overdue first."""
        is_due = Q(dns_next_check_at=None) | Q(dns_next_check_at__lte=at)
        return self.unclaimed(at).filter(is_due).order_by(F("dns_next_check_at").asc(nulls_first=True), "pk")

    def scheduled(self, at: datetime.datetime) -> Self:
        """Rows with a planned next check that is not "at once"."""
        return self.filter(dns_next_check_at__lt=at + UNPLANNED)

    def unclaimed(self, at: datetime.datetime) -> Self:
        """Rows without a valid claim; an expired claim was left by a worker that died, one of the far future by a clock."""
        is_over = Q(dns_claimed_until__lte=at) | Q(dns_claimed_until__gt=at + LATEST)
        return self.filter(Q(dns_claimed_until=None) | is_over)

    def put_off_by_a_clock(self, at: datetime.datetime) -> Self:
        """Rows whose next check is later than any that is planned, because a clock was ahead."""
        return self.filter(dns_next_check_at__gt=at + LATEST, dns_next_check_at__lt=at + UNPLANNED)


class DNSChecked(models.Model):
    """A record with periodic DNS checks: the next check, the current claim, and the answers."""

    created_at = models.DateTimeField(auto_now_add=True)
    # The last time that a check ended, whatever came of it.
    dns_checked_at = models.DateTimeField(null=True, editable=False)
    # Null: at once.
    dns_next_check_at = models.DateTimeField(null=True, editable=False)
    # A checker's claim. It writes only while the claim is still its own.
    dns_claim = models.UUIDField(null=True, editable=False)
    dns_claimed_until = models.DateTimeField(null=True, editable=False)
    # How many checks in a row found the same, and how many in a row could not learn everything.
    dns_streak = models.PositiveIntegerField(default=0, editable=False)
    dns_failures = models.PositiveIntegerField(default=0, editable=False)
    # For each check: `answer` (master-file form) and `at` of the last one that learned something; after a failure since then,
    # `failure` and `failed_at` too. `warning` is a sentence on an accepted record; the other keys are a check's own facts.
    dns_answers = models.JSONField(default=dict, editable=False)

    class Meta:
        abstract = True

    def unanswered(self) -> set[str]:
        """Return the checks for which DNS could not be asked the last time: their statuses are those of the time before."""
        at = None if self.dns_checked_at is None else self.dns_checked_at.isoformat()
        return {check for check, answer in self.dns_answers.items() if answer.get("failed_at", "") == at}
