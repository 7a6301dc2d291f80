"""Filters of the audit trail: by kind of record, act, person, organization and day."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter

from core.names import fold
from core.texts import is_storable
from panel.audit_titles import noun
from panel.navigation import GROUPS
from panel.viewer import viewer_of
from servers.access import organizations_of
from servers.models import Organization

# What is done to records, by the ends of acts that mean it.
ACTS = {
    "created": ("Created", ("created", "made", "granted")),
    "changed": ("Changed", ("changed", "updated", "ordered", "members_added", "members_removed", "addresses_added")),
    "deleted": ("Deleted", ("deleted", "withdrawn")),
    "paused": ("Paused or resumed", ("paused", "resumed")),
    "suspended": ("Suspended or resumed", ("suspended", "resumed")),
    "keys": ("Keys and passwords", ("rotated", "revealed", "held", "released", "revoked", "password_set",
                                    "password_changed", "key_rotated")),
}  # fmt: skip


class KindFilter(admin.SimpleListFilter):
    """By the kind of record."""

    title, parameter_name = "kind of record", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        registry = model_admin.admin_site._registry
        shown = {model._meta.label_lower for model, page in registry.items() if page.has_view_permission(request)}
        return [(name, capfirst(noun(name))) for _, entries in GROUPS for _, name in entries if name in shown]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(target_type=self.value()) if self.value() else queryset


class ActFilter(admin.SimpleListFilter):
    """By act."""

    title, parameter_name = "what was done", "done"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in ACTS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ACTS:
            return queryset
        condition = Q()
        for verb in ACTS[str(self.value())][1]:
            condition |= Q(act__endswith=f".{verb}")
        return queryset.filter(condition)


class PersonFilter(TextFilter):
    """By actor: a user name, or the name of a program's key."""

    title, parameter_name = "person", "person"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        if not text:
            return queryset
        return queryset.filter(actor_label=text) if is_storable(text) else queryset.none()


class OrganizationFilter(TextFilter):
    """By the record's organization: name or permalink."""

    title, parameter_name = "organization", "organization"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        if not text:
            return queryset
        if not is_storable(text):
            return queryset.none()
        viewer = viewer_of(request)
        seen = Organization.objects.all() if viewer.is_platform else organizations_of(viewer.user)
        found = seen.filter(Q(permalink=text.lower()) | Q(name_key=fold(text)))
        return queryset.filter(organization_id__in=list(found.values_list("pk", flat=True)))


class DayFilter(admin.SimpleListFilter):
    """By day, in the viewer's time zone."""

    title, parameter_name = "day", "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("today", "Today"), ("yesterday", "Yesterday"), ("week", "Last 7 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        day = datetime.timedelta(days=1)
        match self.value():
            case "today":
                return queryset.filter(at__gte=midnight)
            case "yesterday":
                return queryset.filter(at__gte=midnight - day, at__lt=midnight)
            case "week":
                return queryset.filter(at__gte=midnight - 6 * day)
            case _:
                return queryset


class TimeFilter(RangeDateTimeFilter):
    """From one time to another, as the calendar beside the fields writes them, in the viewer's time zone.

    The theme's own reads other formats (11/05 for the fifth of November), as times in UTC, and shows the whole list where it
    cannot read one. A day without a time is the whole day.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for end, look_up, of_the_day in (("from", "gte", "00:00:00"), ("to", "lte", "23:59:59.999999")):
            name = f"{self.parameter_name}_{end}"
            day, time = (str(self.used_parameters.get(f"{name}_{part}") or "").strip() for part in (0, 1))
            if day or time:
                try:
                    at = forms.SplitDateTimeField().clean([day, time or of_the_day]).astimezone(datetime.UTC)
                except (ValidationError, OverflowError) as problem:
                    raise IncorrectLookupParameters(problem) from None
                queryset = queryset.filter(**{f"{self.parameter_name}__{look_up}": at})
        return queryset
