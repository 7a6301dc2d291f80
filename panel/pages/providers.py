"""Mailbox providers and their recipient domains."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from core.related_counts import count_of
from panel import charts
from panel.explorer import links
from panel.pages.base import ReadOnlyAdmin
from stats.models import Provider
from stats.reports.explore import By


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    """Mailbox providers, read-only: existing counts are grouped by them."""

    list_display = ["name", "domain_count"]
    search_fields = ["name", "domains__pattern"]
    search_help_text = "Name or domain"
    fields = ["name", "patterns"]
    readonly_fields = ["patterns"]
    change_form_outer_before_template = "panel/provider/summary.html"

    def summary_of(self, request: HttpRequest, record: Provider) -> dict[str, Any]:
        now = timezone.now()
        return {
            "chart": charts.of_subject({By.PROVIDER: [record.pk]}, now, provider=record.pk),
            "explore": {
                group: links.of_last_days(now, charts.DAYS, provider=record.pk, group=group)
                for group in ("server", "organization", "address")
            },
            "reasons_url": links.of_last_days(now, charts.DAYS, provider=record.pk, group="reason", sort="bounced"),
        }

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(domain_total=count_of(Provider, "domains"))

    @display(description="Domain patterns", ordering="domain_total")
    def domain_count(self, record: Any) -> int:
        return record.domain_total

    @display(description="Domain patterns")
    def patterns(self, record: Provider) -> str:
        return ", ".join(record.domains.values_list("pattern", flat=True))
