"""Filters of lists by another record, searched as one types."""

from typing import Any

from django.contrib.admin import site
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from core.references import whole_id


class RecordFilter(AutocompleteSelectFilter):
    """A filter by another record. One that the person may not see leaves nothing, and is not named.

    The theme's own would say what it is called to whoever types its id into the address.
    """

    is_hidden = False

    def value(self) -> Any:
        return None if self.is_hidden else super().value()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        given = super().value()
        if not given:
            return queryset
        page: Any = site._registry.get(self.field.related_model)
        seen = page.get_queryset(request).filter(pk=given) if page and whole_id(str(given)) else None
        if seen is None or not seen.exists():
            self.is_hidden = True
            return queryset.none()
        return super().queryset(request, queryset)
