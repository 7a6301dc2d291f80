"""Change lists: allowed filters, rows with statistics, and orders by what is no column of the table."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.views.main import ORDER_VAR
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db.models import F, GenericIPAddressField, OrderBy, QuerySet
from django.db.models.options import Options
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.views import ChangeList

from core.texts import is_storable
from ippools.numeric_order import AsNumber

# Takes the page, the request and the ids of records; returns what they are ordered by, for those that have it.
type Ranking = Callable[[Any, HttpRequest, list[int]], Mapping[int, Any]]


class BoundedPaginator(Paginator):
    """Counts so many rows at most: of millions nobody looks at the last page, and counting them takes longer than the page."""

    most = 50_000
    has_more = False

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found = int(rows.order_by()[: self.most + 1].count())
        self.has_more = found > self.most
        return min(found, self.most)


class PanelChangeList(ChangeList):
    """A list with only its declared filters, whose rows can have statistics and be ordered by them.

    Counts are in tables of their own, which may be in another database: to order by one, all ids that the filters leave
    are read and sorted here, and then the rows of one page.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        # Django's: "Select server to change".
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_filters(self, request: HttpRequest) -> Any:
        """Return Django's filters. An unknown parameter is refused with 400.

        Django would take it for a look-up on a column: `?password__startswith=…` on the users would be answered with one row or
        none, and so tell any column of the table, character by character, to people who may only look at the list.
        """
        # PostgreSQL cannot compare with NUL.
        for name, values in self.get_filters_params().items():
            if not all(map(is_storable, values)):
                raise DisallowedModelAdminLookup(f"{self.opts.verbose_name_plural} cannot be filtered by this {name}.")
        found = super().get_filters(request)
        left = found[2]
        of_dates = {f"{self.date_hierarchy}__{end}" for end in ("gte", "lt")} if self.date_hierarchy else set()
        if unknown := sorted(set(left) - of_dates):
            raise DisallowedModelAdminLookup(f"{self.opts.verbose_name_plural} cannot be filtered by {unknown[0]}.")
        return found

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.unlisted)

    # --- Order -------------------------------------------------------------------------------------------------------

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return Django's order, in which rows without a value are last both ways.

        By themselves PostgreSQL takes what is empty for the greatest and SQLite for the least.
        """
        return [self._empty_last(part) for part in super().get_ordering(request, queryset)]

    def _empty_last(self, part: Any) -> Any:
        if isinstance(part, str):
            name = part.removeprefix("-")
            if not may_be_empty(self.lookup_opts, name):
                return part
            part = OrderBy(F(name), descending=part.startswith("-"))
        if isinstance(part, OrderBy) and not (part.nulls_first or part.nulls_last):
            part = part.copy()
            part.nulls_last = True
        return part

    def get_ordering_field(self, field_name: Any) -> Any:
        if field_name in self.model_admin.rankings:
            return None
        try:
            is_address = isinstance(self.lookup_opts.get_field(field_name), GenericIPAddressField)
        except FieldDoesNotExist:
            is_address = False
        return AsNumber(field_name) if is_address else super().get_ordering_field(field_name)

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        order = (new_params or {}).get(ORDER_VAR, "")
        first = order.partition(".")[0]
        # The first click on numbers asks for the greatest.
        if (
            first.isdigit()
            and self._column(first) in self.model_admin.greatest_first
            and not self._is_ordered_by(first)
        ):
            new_params = {**new_params, ORDER_VAR: f"-{order}"}
        return super().get_query_string(new_params, remove)

    def _column(self, index: str) -> str:
        shown = self.list_display
        return str(shown[int(index)]) if len(index) < 4 and int(index) < len(shown) else ""

    def _is_ordered_by(self, index: str) -> bool:
        return index in {each.removeprefix("-") for each in self.params.get(ORDER_VAR, "").split(".")}

    def _rankings(self) -> list[tuple[Ranking, bool]]:
        """Return the rankings that the order begins with, each with whether the greatest is first.

        One that comes after a column of the table is left out: it would order what is equal there.
        """
        found = []
        for part in self.params.get(ORDER_VAR, "").split("."):
            index = part.removeprefix("-")
            ranking = self.model_admin.rankings.get(self._column(index)) if index.isdigit() else None
            if ranking is None:
                break
            found.append((ranking, part.startswith("-")))
        return found

    def _ranked_ids(self, request: HttpRequest) -> list[int] | None:
        """Return the ids that the filters leave in the order asked for; None where that is of the table's columns."""
        if not (rankings := self._rankings()):
            return None
        ids: list[int] = list(self.queryset.values_list("pk", flat=True))
        for ranking, is_descending in reversed(rankings):
            ranks = ranking(self.model_admin, request, ids)
            # Records without a rank are last in both orders.
            known = sorted((pk for pk in ids if pk in ranks), key=ranks.__getitem__, reverse=is_descending)
            ids = known + [pk for pk in ids if pk not in ranks]
        return ids

    # --- Rows --------------------------------------------------------------------------------------------------------

    def rows(self, request: HttpRequest, first: int, end: int) -> list[Any]:
        """Return the rows from one place of the order to another, the second excluded."""
        ids: Any = self._ranked_ids(request)
        if ids is None and end - first > self.list_max_show_all:
            return list(self.queryset[first:end])
        # First which rows, and then what is shown of these: in one query PostgreSQL joins all that could be, and sorts them.
        shown = list(self.queryset.values_list("pk", flat=True)[first:end] if ids is None else ids[first:end])
        found = {record.pk: record for record in self.queryset.filter(pk__in=shown)}
        return [found[pk] for pk in shown if pk in found]

    def get_results(self, request: HttpRequest) -> None:
        # Refuses pages that there are not; its rows are not read.
        super().get_results(request)
        is_whole = not self.multi_page or (self.show_all and self.can_show_all)
        first = 0 if is_whole else (self.page_num - 1) * self.list_per_page
        rows = self.rows(request, first, self.result_count if is_whole else first + self.list_per_page)
        self.result_list = rows
        self.model_admin.decorate_rows(request, rows)


def may_be_empty(options: "Options[Any]", path: str) -> bool:
    """Whether rows may have no value of a column, `server__suspended_at`: where it or a relation on the way may be null.

    A relation itself stands for the order of its model's records, which is Django's to make.
    """
    found = []
    for name in path.split("__"):
        try:
            field = options.get_field(name)
        except FieldDoesNotExist:
            return False
        found.append(field)
        if field.related_model:
            options = field.related_model._meta
    is_relation = found[-1].is_relation and found[-1].name == name
    return not is_relation and any(field.null for field in found)
