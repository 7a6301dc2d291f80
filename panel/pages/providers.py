"""Mailbox providers and their recipient domains."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from core.related_counts import count_of
from panel.pages.base import ReadOnlyAdmin
from stats.models import Provider


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    """Mailbox providers, read-only: existing counts are grouped by them."""

    list_display = ["name", "domain_count"]
    search_fields = ["name", "domains__pattern"]
    fields = ["name", "patterns"]
    readonly_fields = ["patterns"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(domain_total=count_of(Provider, "domains"))

    @display(description="Domain patterns", ordering="domain_total")
    def domain_count(self, record: Any) -> int:
        return record.domain_total

    @display(description="Domain patterns")
    def patterns(self, record: Provider) -> str:
        return ", ".join(record.domains.values_list("pattern", flat=True))
