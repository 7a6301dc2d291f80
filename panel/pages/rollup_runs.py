"""Roll-up runs: the log of folding, audits and retention."""

from django.contrib import admin
from unfold.decorators import display

from panel.pages.base import ReadOnlyAdmin
from stats.models import RollupRun


@admin.register(RollupRun)
class RollupRunAdmin(ReadOnlyAdmin):
    """Roll-up runs, read-only."""

    has_history = False
    list_display = ["started_at", "kind", "outcome_label", "duration", "batches", "events", "rows", "lag"]
    list_filter = ["kind", "outcome"]
    fields = ["kind", "outcome", "started_at", "finished_at", "duration", "batches", "events", "rows", "lag", "detail"]
    readonly_fields = ["duration", "lag"]

    @display(
        description="Outcome",
        ordering="outcome",
        label={"Done": "success", "Counts differ": "warning", "Failed": "danger"},
    )
    def outcome_label(self, record: RollupRun) -> str:
        return record.get_outcome_display()

    @display(description="Duration")
    def duration(self, record: RollupRun) -> str:
        return f"{record.duration_seconds:,.2f} s"

    @display(description="Lag", ordering="lag_seconds")
    def lag(self, record: RollupRun) -> str:
        return "—" if record.lag_seconds is None else f"{record.lag_seconds:,.1f} s"
