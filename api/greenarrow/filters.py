"""The filters of lists: exact and case-insensitive."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet
from django_filters import CharFilter, FilterSet

from core.names import fold
from core.texts import is_storable
from ippools.values import is_ipv4


class Exact(CharFilter):
    """Compares a column with the text as it is stored; what cannot be stored is nobody's."""

    def __init__(self, column: str, *, stored: Callable[[str], str], fits: Callable[[str], bool] = is_storable) -> None:
        super().__init__(field_name=column)
        self.stored, self.fits = stored, fits

    def filter(self, queryset: QuerySet[Model], text: str) -> QuerySet[Model]:
        """Return the rows with this text. Blank text is a text too."""
        return queryset.filter(**{self.field_name: self.stored(text)}) if self.fits(text) else queryset.none()


class GreenArrowFilterSet(FilterSet):
    """Filters what was given, as it was given: no form strips it."""

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that all filters given leave."""
        for name, text in self.data.items():
            queryset = self.filters[name].filter(queryset, text)
        return queryset


class IPAddressFilterSet(GreenArrowFilterSet):
    """Addresses by name, IPv4 or host name."""

    name = Exact("name_key", stored=fold)
    ip = Exact("ipv4", stored=str, fits=is_ipv4)
    hostname = Exact("hostname_key", stored=fold)
