"""Filters of the list of addresses."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from ippools.models import WarmUp


class WarmUpFilter(admin.SimpleListFilter):
    """By whether the address is warmed up just now."""

    title, parameter_name = "warm-up", "warming"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Warming up"), ("no", "Not warming up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        active = Exists(WarmUp.objects.active().filter(address=OuterRef("pk")))
        match self.value():
            case "yes":
                return queryset.filter(active)
            case "no":
                return queryset.filter(~active)
            case _:
                return queryset
