"""Numbers of alerts and of messages that wait, for monitoring."""

import datetime
from dataclasses import dataclass

from django.db.models import Count, Min, Q

from alerts.conditions import CONDITIONS
from alerts.models import Alert, Message


@dataclass(frozen=True, slots=True)
class Waiting:
    """The messages that are not sent yet."""

    messages: int
    # How long the oldest has waited; 0.0 without any.
    seconds: float


def open_alerts() -> dict[tuple[str, str], int]:
    """Return how many alerts of the platform are open, by condition and severity; each condition is there. One query."""
    rows = Alert.objects.open().filter(organization=None).order_by().values_list("condition", "level")
    found = {(condition, level): number for condition, level, number in rows.annotate(number=Count("pk"))}
    return {(condition, level): 0 for condition in CONDITIONS for level in Alert.Level.values} | found


def waiting(now: datetime.datetime) -> Waiting:
    """Return the reports, and the messages to enabled channels, that wait. One query."""
    rows = Message.objects.filter(Q(channel=None) | Q(channel__enabled=True), due_at__isnull=False)
    found = rows.aggregate(number=Count("pk"), oldest=Min("created_at"))
    oldest = found["oldest"]
    return Waiting(found["number"], max(0.0, (now - oldest).total_seconds()) if oldest else 0.0)
