"""Filters of the list of addresses."""

import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from alerts.topics.addresses import failing, repeated
from ippools.models import WarmUp


def _yesterday() -> datetime.date:
    return timezone.now().astimezone(datetime.UTC).date() - datetime.timedelta(days=1)


class WarmUpFilter(admin.SimpleListFilter):
    """By whether the address is warmed up just now."""

    title, parameter_name = "warm-up", "warming"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Warming up"), ("repeating", "Repeating a day"), ("no", "Not warming up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        active = Exists(WarmUp.objects.active().filter(address=OuterRef("pk")))
        match self.value():
            case "yes":
                return queryset.filter(active)
            case "repeating":
                return queryset.filter(pk__in=repeated(_yesterday()).values("warm_up__address"))
            case "no":
                return queryset.filter(~active)
            case _:
                return queryset


class IdentityFilter(admin.SimpleListFilter):
    """Those in pools whose DNS identity is wrong, as *Needs attention* counts them."""

    title, parameter_name = "identity", "identity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failing", "Failing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(failing()) if self.value() == "failing" else queryset
