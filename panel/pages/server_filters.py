"""Filters of the list of servers."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import EmptyFieldListFilter, SimpleListFilter
from django.http import HttpRequest
from django.utils import timezone


class ServerStateFilter(SimpleListFilter):
    """Living servers, unless somebody asks for others."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("suspended", "Suspended"), ("deleted", "Deleted"), ("all", "All, deleted ones too")]

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


class WithoutPoolFilter(EmptyFieldListFilter):
    """By whether they have an IP pool."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "IP pool"

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice, word in zip(super().choices(changelist), ("All", "Without", "With"), strict=True):
            yield {**choice, "display": word}
