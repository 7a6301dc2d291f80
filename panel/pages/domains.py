"""Sender domains: the DNS records to publish, and their status."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import formats, timezone
from unfold.decorators import display

from alerts.topics import domains as conditions
from core.errors import Refused
from dnschecks.checked import UNPLANNED, DNSStatus
from panel import charts, dns_differences, volumes
from panel.alert_filter import AlertFilter
from panel.filters import RecordFilter, by_emptiness
from panel.formatting import not_asked
from panel.forms import errors
from panel.forms.fields import text_area, text_input
from panel.pages.server_children import ServerChildAdmin, ServerChildForm
from panel.record_actions import ActForm, act, actor_of
from servers import domains
from servers.access import organizations_changed_by
from servers.dns_records import DNSRecord, expected_of, records_of
from servers.dns_wanted import records_wanted, wanted_for
from servers.models import Domain, Server
from servers.zone_file import zone_file
from stats.reports.explore import By

CHECKS = {
    "verification": "Proof of ownership",
    "spf": "SPF",
    "dkim": "DKIM",
    "mx": "MX",
    "return_path": "Return path",
    "dmarc": "DMARC",
}
LABELS = {"OK": "success", "Missing": "danger", "Invalid": "danger"}


class DomainForm(ServerChildForm):
    """The expected records and the use of a domain."""

    custom_mx_records = forms.CharField(
        required=False,
        max_length=10_000,
        widget=text_area(rows=3, placeholder="mx1.example.com"),
        label="Own mail servers",
        help_text="Host names, one per line, that receive its mail instead of the platform's.",
    )
    dmarc_record = forms.CharField(
        required=False,
        max_length=1_000,
        widget=text_input(placeholder="v=DMARC1; p=quarantine"),
        label="DMARC policy",
        help_text=(
            "The text of the TXT record at _dmarc. If left empty, a policy is proposed that is never weaker "
            "than the current one."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_new:
            self.initial["custom_mx_records"] = "\n".join(self.instance.custom_mx_records)

    def act(self) -> Domain:
        given = dict(self.cleaned_data)
        given["custom_mx_records"] = [line for line in given["custom_mx_records"].splitlines() if line.strip()]
        return domains.change_domain(domain=self.instance, actor=self.actor, **given)


class NewDomainForm(forms.Form):
    """A new domain of a server."""

    name = forms.CharField(
        max_length=253,
        widget=text_input(placeholder="mail.example.com"),
        help_text="The domain of the sender's address.",
    )

    def __init__(self, *args: Any, request: HttpRequest, server: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        living = Server.objects.living().filter(organization__in=organizations_changed_by(request.user))
        server.queryset = living.select_related("organization")
        self.fields = {"server": server, **self.fields}


class StatusFilter(admin.ChoicesFieldListFilter):
    """By what a check found, under the check's name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = CHECKS[self.field_path.removesuffix("_status")]


class FailingFilter(admin.SimpleListFilter):
    """Those that send and fail a check, as *Needs attention* counts them."""

    title, parameter_name = "checks", "checks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failing", "Failing")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(conditions.failing()) if self.value() == "failing" else queryset


@admin.register(Domain)
class DomainAdmin(volumes.VolumeColumns, ServerChildAdmin):
    """Domains."""

    form = DomainForm
    list_display = [
        "name",
        "server",
        "verified",
        "spf",
        "dkim",
        "mx",
        "return_path",
        "dmarc",
        *volumes.COLUMNS,
        "last_checked",
    ]
    rankings = volumes.RANKINGS
    greatest_first = volumes.COLUMNS
    volumes_of = staticmethod(volumes.of_domains)
    list_filter = [
        AlertFilter,
        FailingFilter,
        ("server", RecordFilter),
        ("verified_at", by_emptiness("verified", empty="No", filled="Yes")),
        *((f"{check}_status", StatusFilter) for check in CHECKS),
    ]
    search_fields = ["name__startswith", "uuid", "server__name_key", "server__permalink"]
    search_help_text = "Name, UUID or server"
    # The server and the name stand above.
    fields = ["custom_mx_records", "dmarc_record", "outgoing", "incoming"]
    actions_detail = ["check_now"]
    change_form_outer_before_template = "panel/domain/summary.html"
    restorable = ("custom_mx_records", "dmarc_record", "outgoing", "incoming")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("dkim_private_key")

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        self.add_volumes(request, records, timezone.now())

    @display(description="Verified", boolean=True, ordering="verified_at")
    def verified(self, record: Domain) -> bool:
        return record.is_verified

    @display(description="SPF", ordering="spf_status", label=LABELS, empty_value="not checked")
    def spf(self, record: Domain) -> str | None:
        return _label(record, "spf")

    @display(description="DKIM", ordering="dkim_status", label=LABELS)
    def dkim(self, record: Domain) -> str | None:
        return _label(record, "dkim")

    @display(description="MX", ordering="mx_status", label=LABELS)
    def mx(self, record: Domain) -> str | None:
        return _label(record, "mx")

    @display(description="Return path", ordering="return_path_status", label=LABELS)
    def return_path(self, record: Domain) -> str | None:
        return _label(record, "return_path")

    @display(description="DMARC", ordering="dmarc_status", label=LABELS)
    def dmarc(self, record: Domain) -> str | None:
        return _label(record, "dmarc")

    @display(description="Last checked", ordering="dns_checked_at")
    def last_checked(self, record: Domain) -> str | None:
        at = record.dns_checked_at
        return None if at is None else formats.date_format(timezone.localtime(at), "j M, H:i")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.zone_view)
        return [path("<path:object_id>/zone.txt", view, name="servers_domain_zone"), *super().get_urls()]

    def zone_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the records to publish as a zone file."""
        record = self.seen(request, object_id)
        if record is None or not self.has_view_permission(request, record):
            raise Http404
        text = zone_file(record.name, records_wanted(record), is_checked=record.dns_checked_at is not None)
        disposition = f'attachment; filename="{record.name}.zone.txt"'
        return HttpResponse(
            text, content_type="text/plain; charset=utf-8", headers={"Content-Disposition": disposition}
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Add a domain. Not Django's view: that is one transaction, and this function can query DNS."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        field: Any = self.formfield_for_dbfield(Domain._meta.get_field("server"), request)
        posted = request.POST if request.method == "POST" else None
        initial = {"server": request.GET.get("server"), "name": request.GET.get("name")}
        form = NewDomainForm(posted, initial=initial, request=request, server=field)
        if form.is_valid():
            try:
                made = domains.create_domain(at=timezone.now(), actor=actor_of(request), **form.cleaned_data)
            except Refused as refusal:
                errors.show(form, refusal)
            else:
                text = "exists already." if made.already_exists else "has been added. The records to publish are below."
                messages.success(request, f"{made.domain} {text}")
                return HttpResponseRedirect(self.url_of(made.domain.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": "Add domain",
            "add": True,
            "opts": self.opts,
            "form": form,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "panel/domain/add.html", context)

    def summary_of(self, request: HttpRequest, record: Domain) -> dict[str, Any]:
        return {
            "domain": record,
            "records": records_with_findings(record),
            "right": sum(getattr(record, f"{check}_status") == DNSStatus.OK for check in CHECKS),
            "checks": len(CHECKS),
            "is_checked_again": is_checked_again(record, timezone.now()),
            "zone_url": self.url_of(record.pk, "zone"),
            "chart": charts.of_subject(
                {By.SERVER: [record.server_id], By.DOMAIN: [record.name]},
                timezone.now(),
                server=record.server_id,
                domain=record.name,
            ),
        }

    @act(title="Check now", description="Queries DNS now. This takes a few seconds.", icon="travel_explore")
    def check_now(self, request: HttpRequest, record: Domain, form: ActForm) -> str | None:
        found = domains.verify_domain(domain=record, actor=actor_of(request))
        text = f"{found} is verified." if found.is_verified else f"{found} is not verified yet."
        unanswered = found.unanswered()
        failed = [
            label
            for check, label in CHECKS.items()
            if check not in unanswered and getattr(found, f"{check}_status") != DNSStatus.OK
        ]
        more = f" Failed checks: {', '.join(failed)}." if failed else ""
        if unanswered:
            more += f" {not_asked(CHECKS, unanswered)}"
        if not more:
            return text
        messages.warning(request, text + more)
        return None

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        domains.delete_domain(domain=record, at=timezone.now(), actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [
            "Its DNS records are no longer checked, and mail from it is no longer signed.",
            (
                "Its statistics, verification token, DKIM key and selector are kept. If it is added again, it "
                "needs no new DNS records."
            ),
        ]

    def restore(self, request: HttpRequest, record: Domain, state: dict[str, Any]) -> None:
        domains.change_domain(domain=record, actor=actor_of(request), **state)


def is_checked_again(domain: Domain, now: datetime.datetime) -> bool:
    """Whether a next check is planned; the demo's domains, which do not exist in DNS, have one in the far future."""
    at = domain.dns_next_check_at
    return at is None or at < now + UNPLANNED


def records_with_findings(domain: Domain) -> list[dict[str, Any]]:
    """Return each check with the records to publish and its finding: status, sentence, DNS answer. What is right is last."""
    records: dict[str, list[DNSRecord]] = {}
    for each in records_of(expected_of(domain)):
        records.setdefault(each.purpose, []).append(each)
    # A check without a record to publish has a finding all the same: a domain above has the record that counts.
    found = [_with_finding(domain, check, records.get(check, [])) for check in [*records, *(CHECKS.keys() - records)]]
    return sorted(found, key=lambda each: each["is_right"])


def _with_finding(domain: Domain, check: str, records: list[DNSRecord]) -> dict[str, Any]:
    found = (domain.dns_answers or {}).get(check) or {}
    status, error, warning = getattr(domain, f"{check}_status"), getattr(domain, f"{check}_error"), found.get("warning")
    is_right = status == DNSStatus.OK
    return {
        "label": CHECKS[check],
        "records": [_with_difference(each, found.get("answer", ""), is_right=is_right) for each in records],
        "status": status,
        "is_right": is_right,
        "error": _without_advice(error, records),
        "warning": warning,
        "answer": found.get("answer"),
        "at": datetime.datetime.fromisoformat(found["at"]) if found.get("at") else None,
    }


def _with_difference(record: DNSRecord, answer: str, *, is_right: bool) -> dict[str, Any]:
    """Return the record with what is in DNS in its place; `answer` is empty where nothing was asked yet.

    What is right needs no telling. An SPF record may be right with other terms than these, which would take its senders away.
    """
    found = dns_differences.found_for(record, answer) if answer else None
    if is_right:
        value = found if found is not None and record.purpose == "spf" else record.value
        return {"record": record, "value": value, "is_asked": False}
    wanted = wanted_for(record, answer)
    return {
        "record": record,
        "value": wanted,
        "is_asked": bool(answer),
        "found": found,
        "is_found": found is not None and found == wanted,
        "difference": None if found is None or wanted is None else dns_differences.difference(wanted, found),
    }


def _without_advice(error: str, records: list[DNSRecord]) -> str:
    """Return the sentence without its end “Publish …” where that repeats the records, which stand below to be copied."""
    fact, _, advice = error.rpartition("Publish ")
    return fact.rstrip() if fact and all(each.value in advice for each in records) else error


def _label(record: Domain, name: str) -> str | None:
    return getattr(record, f"get_{name}_status_display")()
