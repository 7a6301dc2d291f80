"""IP addresses with their throttling rules."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats, timezone
from unfold.decorators import display

from core.references import Reference
from core.related_counts import count_of
from dnschecks.checked import DNSStatus
from ippools import identity, ip_addresses, pausing, redirects, warm_ups
from ippools.models import IPAddress, WarmUp
from nodes import address_file
from panel import csv_file, limit_effects, long_work
from panel.alert_filter import AlertFilter
from panel.bulk import actions, acts, csv_import
from panel.filters import RecordFilter
from panel.formatting import limits_in_words, not_asked
from panel.forms.previews import Effect, PreviewedForm
from panel.forms.rules import LIMITS, RulesForm
from panel.forms.suspension import PauseForm
from panel.forms.warm_ups import WarmUpForm
from panel.pages import address_overview, limit_lookup, neighbours
from panel.pages.address_filters import IdentityFilter, WarmUpFilter
from panel.pages.address_list import AddressList
from panel.pages.address_states import IDENTITY_CHECKS
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of, is_within_page
from panel.viewer import Viewer, viewer_of
from servers.access import addresses_seen_by, pools_seen_by
from throttling import rule_sets
from throttling.limits import LimitTable

OWN_FIELDS = (
    "name", "ipv4", "ipv6", "public_ipv4", "public_ipv6", "hostname", "priority", "template", "redirect", "delivery_paused",
)  # fmt: skip
LONGEST_CHAIN = 20


class IPAddressForm(PreviewedForm, RulesForm):
    """An address with its own rules."""

    helps = {
        "public_ipv4": (
            "The address that receivers see, if mail is sent through NAT. Leave empty to use the IPv4 address itself."
        ),
        "public_ipv6": "As above, for IPv6.",
        "hostname": "The HELO name. The address's PTR record should contain it, and it should resolve to the address.",
        "priority": (
            "The weight of the address in its pools, 0 to 100. An address with 50 gets half as much mail as "
            "one with 100."
        ),
        "redirect": "Its mail is sent by this VirtualMTA instead.",
        "delivery_paused": "The “Pause delivery” button also takes a reason and an end time.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            if f"default_{name}" in self.fields:
                text = "For domains that no rule matches. Leave empty to use the template's. 0 means unlimited."
                self.fields[f"default_{name}"].help_text = text
        for name in ("template", "redirect"):
            # They are the platform's, as is this form.
            if name in self.fields and not self.is_new:
                self.fields[name].widget.widget.loaded = getattr(self.instance, name)

    def act(self) -> IPAddress:
        values = values_of(self.cleaned_data) | self.rule_values()
        if self.is_new:
            return ip_addresses.create(actor=self.actor, **values)
        return ip_addresses.change(self.instance.pk, actor=self.actor, **values)

    def state_before(self) -> tuple[str, LimitTable]:
        return limit_effects.state_of_address(self.instance.pk)

    def effect(self, record: IPAddress, before: tuple[str, LimitTable]) -> Effect | None:
        return limit_effects.of_address(record, before, now=timezone.now())


def values_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return the form's values as the input of a change."""
    redirect = given["redirect"]
    return {
        **{name: given[name] for name in ("name", "ipv4", "hostname", "priority", "delivery_paused")},
        **{name: given[name] or None for name in ("ipv6", "public_ipv4", "public_ipv6")},
        "template": Reference(given["template"].pk),
        "redirect": None if redirect is None else Reference(redirect.pk),
    }


class PauseActForm(PauseForm, ActForm):
    """The reason and the end of a pause of this address."""


# SQLite takes some 30,000 parameters in a statement.
_BATCH = 10_000


@admin.register(IPAddress)
class IPAddressAdmin(AddressList, TenantAdmin):
    """IP addresses. Organizations see those of their pools; the platform changes them."""

    form = IPAddressForm
    list_filter = [
        AlertFilter, "delivery_paused", WarmUpFilter, IdentityFilter, ("template", RecordFilter), ("pools", RecordFilter),
    ]  # fmt: skip
    list_select_related = ["template", "redirect"]
    search_fields = ["ipv4__startswith", "ipv6__startswith", "hostname__startswith", "name_key"]
    search_help_text = "IPv4, IPv6, host name or name"
    autocomplete_fields = ["template", "redirect"]
    fieldsets = (
        (None, {"fields": list(OWN_FIELDS)}),
        ("For domains that no rule matches", {"fields": [f"default_{name}" for name in LIMITS]}),
    )
    actions = [
        actions.action(acts.pause_addresses),
        actions.action(acts.resume_addresses),
        actions.action(acts.delete_addresses),
    ]
    actions_detail = ["pause", "resume_delivery", "check_identity", "warm_up"]
    change_form_before_template = "panel/parts/preview.html"
    change_form_outer_before_template = "panel/address/summary.html"
    change_form_after_template = "panel/parts/rules.html"
    restorable = ("name", "ipv4", "ipv6", "public_ipv4", "public_ipv6", "hostname", "priority", "template_id",
                  "redirect_id", "delivery_paused", "default", "rules")  # fmt: skip

    # --- Who sees what -----------------------------------------------------------------------------------------------

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.is_platform else records.filter(pk__in=addresses_seen_by(viewer.user).values("pk"))

    def organization_id_of(self, record: Any) -> int | None:
        return None

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        # An address may be in the pools of several organizations, so none of them changes it.
        return verb == "view" and bool(viewer.roles)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request).select_related("template__rules", "rules", "redirect", "identity")
        viewer = viewer_of(request)
        # In how many pools of others an address is, is theirs to know.
        known = None if viewer.is_platform else Q(pool__in=pools_seen_by(viewer.user))
        return found.annotate(memberships_total=count_of(IPAddress, "memberships", known))

    # --- The page ----------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            # Where mail goes instead may be another tenant's; the summary says as much as this person may know.
            shown = [name for name in OWN_FIELDS if name != "redirect"]
            return ((None, {"fields": [*shown, "default_limits"]}),)
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return ["default_limits"]

    @display(description="For domains that no rule matches")
    def default_limits(self, record: IPAddress) -> str:
        return limits_in_words(record.rules.max_concurrent_connections, record.rules.max_messages_per_hour)

    def summary_of(self, request: HttpRequest, record: IPAddress) -> dict[str, Any]:
        """Return the summary above the form: state, counts, charts, pools, redirect, limit."""
        context = {
            **address_overview.summary(record, viewer_of(request), timezone.now()),
            "chain": self.chain_of(request, record),
            "limits_url": self.url_of(record.pk, "limits"),
        }
        if not self.has_change_permission(request, record):
            context["rules_shown"] = rule_sets.rules_of(record.rules_id)
        return context

    def chain_of(self, request: HttpRequest, record: IPAddress) -> list[dict[str, Any]]:
        """Return the chain of redirects of the address, as far as the user can view it."""
        if record.redirect_id is None:
            return []
        chain = redirects.chain_of(record, longest=LONGEST_CHAIN)
        viewer = viewer_of(request)
        ids = [each.pk for each in chain]
        seen = (
            set(ids)
            if viewer.is_platform
            else set(self.get_queryset(request).filter(pk__in=ids).values_list("pk", flat=True))
        )
        return [
            {"name": each.name if each.pk in seen else "a VirtualMTA of the platform", "kind": each.get_kind_display()}
            for each in chain
        ]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/limits/", wrap(self.limits_view), name="ippools_ipaddress_limits"),
            path("<path:object_id>/neighbours/", wrap(self.neighbours_view), name="ippools_ipaddress_neighbours"),
            path("export.csv", wrap(self.export_view), name="ippools_ipaddress_export"),
            path("import/", wrap(self.import_view), name="ippools_ipaddress_import"),
            *super().get_urls(),
        ]

    def neighbours_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return whose mail brought the address its refusals."""
        record = self.seen(request, object_id)
        return neighbours.page(self, request, record, [] if record is None else [record.pk])

    @long_work.few_at_once
    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return a CSV file of all addresses of the filtered list, with their pools."""
        if not self.may_use_files(request):
            raise PermissionDenied
        chosen = self.filtered(request).get_queryset(request)
        return csv_file.answer("addresses.csv", address_file.COLUMNS, address_file.rows_of(chosen))

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Import addresses from a file, after a dry run."""
        if not self.may_use_files(request) or not self.has_change_permission(request):
            raise PermissionDenied

        def importing(rows: csv_import.Rows) -> csv_import.Effect:
            outcome = address_file.import_rows(rows, actor=actor_of(request))
            figures = [(name, len(getattr(outcome, name))) for name in ("created", "changed", "unchanged")]
            if total := _unbounded(outcome.created):
                # A cold address never silently becomes unlimited.
                figures.append(("created without an hourly limit or warm-up", total))
            return csv_import.Effect(figures, outcome.changes)

        return csv_import.page(
            self,
            request,
            title="Import addresses",
            help_text="Rows are matched by IPv4 address: existing addresses are changed, the others are created and need a "
            "host name. Pools are separated by semicolons; an organization's pool follows its permalink: acme/Transactional. "
            "An empty cell keeps the value; none removes it. Where several records share a name, use the id: #12. "
            "An address can be on one node.",
            columns=address_file.COLUMNS,
            needed=["ipv4"],
            importing=importing,
            back=reverse("admin:ippools_ipaddress_changelist"),
        )

    def may_use_files(self, request: HttpRequest) -> bool:
        """Only the platform's staff can use files, because they contain all pools and redirects of an address."""
        return viewer_of(request).is_platform and self.has_view_permission(request) and self.has_add_permission(request)

    def file_tools(self, request: HttpRequest) -> list[tuple[str, str]]:
        if not self.may_use_files(request):
            return super().file_tools(request)
        return [
            ("Export", self.export_url(request, "export")),
            ("Import", reverse("admin:ippools_ipaddress_import")),
        ]

    def limits_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer “Which limit applies?” for `?domain=…`, inside the address's page or as a separate page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        record = self.seen(request, object_id)
        if record is None:
            raise Http404
        asked = request.GET.get("domain", "")
        found = limit_lookup.answer(record, asked, at=timezone.now()) if asked.strip() else None
        within = is_within_page(request)
        context = {
            **({} if within else self.admin_site.each_context(request)),
            "base": "panel/dialog_only.html" if within else "admin/base_site.html",
            "title": f"Which limit applies to {record.ipv4}?",
            "opts": self.opts,
            "original": record,
            "address": record,
            "asked": asked,
            "problem": found if isinstance(found, str) else "",
            "answer": None if isinstance(found, str) else found,
            "limits_url": request.path,
            "back": self.url_of(record.pk),
        }
        return TemplateResponse(request, "panel/address/limits.html", context)

    # --- Acts --------------------------------------------------------------------------------------------------------

    @act(
        title="Pause delivery",
        description="It sends no mail until it is resumed, and neither does its redirect.",
        form=PauseActForm,
        icon="pause_circle",
        fits=lambda record: not record.delivery_paused,
    )
    def pause(self, request: HttpRequest, record: IPAddress, form: ActForm) -> str:
        until = form.cleaned_data["until"]
        pausing.pause(
            record.pk,
            reason=form.cleaned_data["reason"],
            until=until,
            at=timezone.now(),
            actor=actor_of(request),
        )
        end = "until it is resumed" if until is None else f"until {formats.localize(timezone.localtime(until))}"
        return f"{record} sends no mail {end}."

    @act(
        title="Resume delivery",
        description="It may send mail again.",
        icon="play_circle",
        fits=lambda record: record.delivery_paused,
    )
    def resume_delivery(self, request: HttpRequest, record: IPAddress, form: ActForm) -> str:
        pausing.resume(record.pk, actor=actor_of(request))
        return f"{record} may send mail again."

    @act(
        title="Check DNS identity",
        description="Queries the address's PTR records and the HELO name's addresses now. This takes a few seconds.",
        icon="travel_explore",
    )
    def check_identity(self, request: HttpRequest, record: IPAddress, form: ActForm) -> str | None:
        found = identity.check_address(record, asked_by=viewer_of(request).counts_as)
        if unanswered := found.unanswered():
            messages.warning(request, not_asked(IDENTITY_CHECKS, unanswered))
            return None
        statuses = {getattr(found, f"{name}_status") for name in IDENTITY_CHECKS}
        return f"The identity of {record} is " + ("right." if statuses == {DNSStatus.OK} else "checked: see below.")

    @act(
        title="Warm up",
        description="It sends a little more each day, as long as receivers take it.",
        form=WarmUpForm,
        icon="device_thermostat",
        permission="warm_up",
    )
    def warm_up(self, request: HttpRequest, record: IPAddress, form: ActForm) -> str:
        warm_ups.begin(
            address_id=record.pk,
            plan_id=form.cleaned_data["plan"].pk,
            on=form.cleaned_data["begins_on"],
            at=timezone.now(),
            actor=actor_of(request),
        )
        return f"{record} is warmed up by “{form.cleaned_data['plan']}”."

    def has_warm_up_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Warm-ups have a permission of their own, as they have a page."""
        return self.has_view_permission(request, obj) and self.admin_site._registry[WarmUp].has_add_permission(request)

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        ip_addresses.delete(record.pk, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [
            "Its own rules are deleted with it; its statistics are kept.",
        ]

    def state_of(self, record: IPAddress) -> dict[str, Any]:
        rule_sets.load_rules(record.rules)
        return record.document()

    def state_before(self, record: IPAddress) -> tuple[str, LimitTable]:
        return limit_effects.state_of_address(record.pk)

    def effect(self, record: IPAddress, before: tuple[str, LimitTable]) -> Effect | None:
        return limit_effects.of_address(record, before, now=timezone.now())

    def restore(self, request: HttpRequest, record: IPAddress, state: dict[str, Any]) -> None:
        ip_addresses.change(record.pk, actor=actor_of(request), **ip_addresses.fields_of(state))


def _unbounded(ipv4s: Sequence[str]) -> int:
    """Return how many of the addresses may send as much as they get to domains that no rule matches."""
    total = 0
    for start in range(0, len(ipv4s), _BATCH):
        found = IPAddress.objects.filter(ipv4__in=ipv4s[start : start + _BATCH])
        own = Q(rules__max_messages_per_hour=0)
        of_template = Q(rules__max_messages_per_hour=None, template__rules__max_messages_per_hour=0)
        total += found.filter(own | of_template).count()
    return total
