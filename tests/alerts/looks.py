"""Looks at the conditions of the platform or an organization."""

import dataclasses
import datetime
from typing import Any

from django.urls import reverse

from alerts import conditions
from alerts.conditions import CONDITIONS
from alerts.measures import measure
from alerts.scope import PLATFORM, of_organization
from servers.models import Server
from stats.counts import buckets
from stats.counts.buckets import Grain
from stats.models import ServerCount
from tests.alerts.factories import AlertFactory
from tests.factories import A_MOMENT

NBSP = "\N{NO-BREAK SPACE}"


def found(*names: str, organization: Any = None, at: datetime.datetime = A_MOMENT, named: int = 4) -> list[Any]:
    """Return level, text and detail of what some conditions find."""
    scope = dataclasses.replace(of_organization(organization) if organization else PLATFORM, named=named)
    items = conditions.found(scope, measure(scope, at, worst=named), at)
    assert {each.condition for each in items} <= CONDITIONS.keys()
    return [(each.level, each.text, each.detail) for each in items if each.condition in names]


def opened(condition: str, url: str, **more: Any) -> None:
    AlertFactory(condition=condition, key=f"{condition}:{url}", url=url, **more)


def change(model: str, pk: int) -> str:
    return reverse(f"admin:{model}_change", args=[pk])


def count(server: Server, grain: Grain, bucket: int, **counts: int) -> None:
    ServerCount.objects.create(grain=grain, bucket=bucket, server_id=server.pk, **counts)


def with_habit(server: Server, *, days: int = 7, **counts: int) -> None:
    """Let a server send at 7, 8 and 9 o'clock of some days before."""
    hour, today = buckets.hour_of(A_MOMENT), buckets.day_of(A_MOMENT)
    for day in range(1, days + 1):
        for before in (1, 2, 3):
            count(server, Grain.HOUR, hour - 24 * day - before, **(counts or {"sent": 1}))
        count(server, Grain.DAY, today - day, **(counts or {"sent": 3}))
