"""Filters of the list of servers."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.utils import timezone


class ServerStateFilter(SimpleListFilter):
    """Servers that are not deleted, by default."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("suspended", "Suspended"), ("deleted", "Deleted"), ("all", "All, including deleted")]

    def choices(self, changelist: Any) -> Any:
        choices = list(super().choices(changelist))
        choices[0]["display"] = "Living"
        return choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "suspended":
                return queryset.suspended(timezone.now())
            case "deleted":
                return queryset.filter(deleted_at__isnull=False)
            case "all":
                return queryset
            case _:
                return queryset.living()
