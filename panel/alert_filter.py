"""A filter of lists: the records that a condition of alerts finds, to which the alert's link leads."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.utils import timezone

from alerts.conditions import CONDITIONS
from alerts.items import PARAMETER
from alerts.subjects import conditions_of, subjects
from core import sql_lists
from panel.dashboard.scope import scope_of
from panel.viewer import viewer_of


class AlertFilter(SimpleListFilter):
    """By what *Needs attention* says of a record now."""

    title, parameter_name = "needs attention", PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        is_platform = viewer_of(request).is_platform
        return [
            (name, CONDITIONS[name].title)
            for name in conditions_of(model_admin.opts.label_lower)
            if is_platform or not CONDITIONS[name].is_platforms
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        condition = self.value()
        if condition not in dict(self.lookup_choices):
            return queryset
        return queryset.filter(pk__in=sql_lists.ids(subjects(condition, scope_of(request), timezone.now())))
