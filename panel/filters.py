"""List filters: by a related record with search, and by whether a column is empty."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import EmptyFieldListFilter, site
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from core.references import whole_id


class RecordFilter(AutocompleteSelectFilter):
    """A filter by a related record. A record that the user cannot view gives an empty list, without its name.

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


def by_emptiness(title: str, *, empty: str, filled: str) -> type[EmptyFieldListFilter]:
    """Return a filter by whether a column is empty, with labels instead of "Empty" and "Not empty"."""

    class Filter(EmptyFieldListFilter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.title = title

        def choices(self, changelist: Any) -> Iterator[Any]:
            for choice, word in zip(super().choices(changelist), ("All", empty, filled), strict=True):
                yield {**choice, "display": word}

    return Filter
