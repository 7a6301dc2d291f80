"""Suppressions: recipients that servers send no more mail to."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display

from core.encryption import decrypt
from core.errors import Fault, Invalid
from core.texts import counted, quoted
from panel import csv_file, long_work
from panel.bulk import csv_import
from panel.filters import RecordFilter
from panel.forms.base import ActingForm
from panel.forms.fields import date_and_time, text_area
from panel.pages.base import TenantAdmin
from panel.record_actions import actor_of
from servers.access import organizations_changed_by, organizations_of
from servers.models import Server
from suppressions import acts, checking, suppression_file
from suppressions.addresses import pasted
from suppressions.models import Reason, Suppression

_OUTCOME = "_sluice_suppressed"
_HELP_OF_IMPORT = (
    "One address a row. Organizations and servers are named by their permalinks; without a server, the address is suppressed"
    " for all servers of the organization. People who belong to one organization may leave it out. Without an end"
    " (2027-01-31) an entry is valid until it is removed. A file that was exported here can be imported again, if the"
    " organization keeps the clear addresses. Lists of SES, SendGrid, Mailgun, Postmark, GreenArrow and PowerMTA are read as"
    " they are: the address may be called email, Email Address, recipient or rcpt; times and reasons are left out."
)


class SuppressionForm(ActingForm):
    """Addresses to suppress, for a server or for all servers of an organization."""

    addresses = forms.CharField(
        max_length=400_000, widget=text_area(rows=8), help_text="One a line, at most 1,000; import more as a file."
    )
    expires_at = forms.SplitDateTimeField(
        required=False, widget=date_and_time(), help_text="Leave empty to suppress until the entry is removed."
    )
    helps = {"organization": "Choose the organization to suppress the addresses for all of its servers, or a server."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        theirs = organizations_changed_by(self.request.user)
        self.limit_choices("organization", theirs)
        living = Server.objects.living().filter(organization__in=theirs).select_related("organization")
        self.limit_choices("server", living)
        if "organization" in self.fields:
            self.fields["organization"].required = False

    def act(self) -> Suppression:
        given = self.cleaned_data
        server = given["server"]
        if (server is None) == (given["organization"] is None):
            raise Invalid(Fault("server", "or an organization is required, but not both"))
        organization = server.organization if server else given["organization"]
        lines = [line for each in given["addresses"].splitlines() if (line := pasted(each))]
        if not lines:
            raise Invalid(Fault("addresses", "is required"))
        try:
            written = acts.suppress(
                organization=organization,
                server=server,
                addresses=lines,
                reason=Reason.MANUAL,
                expires_at=given["expires_at"],
                at=timezone.now(),
                actor=self.actor,
            )
        except Invalid as refusal:
            raise Invalid(*(_in_words(each, lines) for each in refusal.faults)) from None
        self.request.__dict__[_OUTCOME] = written
        [found] = checking.find(
            lines[:1],
            server_id=server.pk if server else 0,
            organization_id=organization.pk,
            organization_uuid=organization.uuid,
            at=timezone.now(),
        )
        return found or self.instance


def _in_words(fault: Fault, lines: list[str]) -> Fault:
    """Return a fault of one of the addresses as one of the whole text."""
    if not fault.path.startswith("addresses["):
        return fault
    line = lines[int(fault.path.removeprefix("addresses[").removesuffix("]"))]
    return Fault("addresses", f"{quoted(line.strip())} {fault.message}")


@admin.register(Suppression)
class SuppressionAdmin(TenantAdmin):
    """Suppressions that apply now."""

    form = SuppressionForm
    is_changed = False
    has_history = False
    list_display = ["masked", "whose", "reason_label", "actor_label", "created_at", "expires_at"]
    list_display_links = ["masked"]
    list_filter = [("server", RecordFilter), ("organization", RecordFilter), "reason"]
    ordering = ["-pk"]
    # By its digest: the whole address, and nothing less.
    search_fields = ["digest"]
    search_help_text = "A whole e-mail address"
    autocomplete_fields = ["organization", "server"]
    fields = ["organization", "server", "addresses", "expires_at"]

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        if obj is None:
            return [*self.fields]
        return [
            "masked", "clear_address", "whose", "reason", "event_id", "event_at", "actor_label", "created_at",
            "expires_at",
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [] if obj is None else self.get_fields(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        # Those of a deleted server apply to no mail; they return with it.
        # Few are: to join all servers, in order to count a page's rows, takes longer than all else of the list.
        living = rows.active(timezone.now()).exclude(server__in=Server.objects.filter(deleted_at__isnull=False))
        return living.select_related("organization", "server__organization")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        return checking.with_address(queryset, pasted(search_term), organizations=organizations_of(request.user)), False

    @display(description="For", ordering="server")
    def whose(self, record: Suppression) -> str:
        if record.server is not None:
            return f"{record.server} ({record.organization})"
        return f"all servers of {record.organization}"

    @display(
        description="Reason",
        ordering="reason",
        label={Reason.HARD_BOUNCE.label: "warning", Reason.COMPLAINT.label: "danger"},
    )
    def reason_label(self, record: Suppression) -> str:
        return record.get_reason_display()

    @display(description="Clear address")
    def clear_address(self, record: Suppression) -> str:
        return decrypt(record.address) if record.address else "not kept"

    def summary_of(self, request: HttpRequest, record: Suppression) -> dict[str, Any]:
        # It has no history of its own: acts are recorded for many addresses at once, in the audit trail of the list.
        return {"show_history": False}

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        written = request.__dict__[_OUTCOME]
        added = counted(written.added, "address is", "addresses are")
        messages.success(request, f"{added} suppressed; {written.present:,} were suppressed already.")
        return HttpResponseRedirect(reverse("admin:suppressions_suppression_changelist"))

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        acts.remove_one(suppression=record, at=timezone.now(), actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Mail is sent to this address again. Only events from after the removal suppress it again."]

    # --- Files -------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export.csv", wrap(self.export_view), name="suppressions_suppression_export"),
            path("import/", wrap(self.import_view), name="suppressions_suppression_import"),
            *super().get_urls(),
        ]

    def file_tools(self, request: HttpRequest) -> list[tuple[str, str]]:
        tools = [("Export", self.export_url(request, "export"))]
        if self.has_add_permission(request):
            tools.append(("Import", reverse("admin:suppressions_suppression_import")))
        return tools

    @long_work.few_at_once
    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return a CSV file of the filtered list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = self.filtered(request).get_queryset(request)
        return csv_file.answer("suppressions.csv", suppression_file.EXPORTED, suppression_file.rows_of(chosen))

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Import addresses from a file, after a dry run."""
        if not self.has_add_permission(request):
            raise PermissionDenied

        def importing(rows: csv_import.Rows) -> csv_import.Effect:
            outcome = suppression_file.import_rows(
                rows,
                organizations=organizations_changed_by(request.user),
                at=timezone.now(),
                actor=actor_of(request),
            )
            return csv_import.Effect([("suppressed", outcome.added), ("suppressed already", outcome.present)])

        return csv_import.page(
            self,
            request,
            title="Import suppressions",
            help_text=_HELP_OF_IMPORT,
            columns=suppression_file.READ,
            passed_over=suppression_file.PASSED_OVER,
            aliases=suppression_file.ALIASES,
            needed=["address"],
            importing=importing,
            back=reverse("admin:suppressions_suppression_changelist"),
            # It has no addresses where the organization does not keep them.
            is_exported=False,
        )
