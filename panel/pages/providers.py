"""Mailbox providers and their recipient domains."""

from typing import Any

from django.contrib import admin
from django.db.models import prefetch_related_objects
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from panel import charts
from panel.explorer import links
from panel.formatting import in_short
from panel.pages.base import ReadOnlyAdmin
from stats.models import Provider
from stats.reports.explore import By


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    """Mailbox providers, read-only: existing counts are grouped by them."""

    list_display = ["name", "domain_names"]
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

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        prefetch_related_objects(records, "domains")

    @display(description="Domain patterns")
    def domain_names(self, record: Provider) -> str:
        return in_short([each.pattern for each in record.domains.all()])

    @display(description="Domain patterns")
    def patterns(self, record: Provider) -> str:
        return ", ".join(record.domains.values_list("pattern", flat=True))
