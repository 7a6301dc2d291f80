"""Organizations: tenants, with their servers, pools, people and usage."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display

from core.related_counts import count_of
from panel import csv_file, long_work, volumes
from panel.alert_filter import AlertFilter
from panel.customers import may_add
from panel.filters import by_emptiness
from panel.formatting import in_short
from panel.forms.fields import text_input, time_zone_field
from panel.forms.previews import Effect, PreviewedForm
from panel.forms.suppression_rules import SuppressionRulesForm
from panel.pages import organization_factors, organization_overview, organization_renaming
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import Viewer, viewer_of
from servers import organization_deletion, provisioning, quotas
from servers.access import organizations_of
from servers.models import Organization
from suppressions import rules

# Both databases put those without at the same end.
SUSPENDED_FIRST = F("suspended_at").asc(nulls_last=True)
# What the platform decides, and an organization's people read.
PLATFORMS = ("allow_keyless_create", *quotas.FIELDS)
# What its owners decide, too.
OWNERS = ("requires_second_factor",)


class OrganizationForm(PreviewedForm):
    """The organization's own fields; its permalink is made from the name where none is given."""

    time_zone = time_zone_field()
    helps = {
        "time_zone": (
            "The time zone of the days in the daily usage file. They begin with a whole hour of UTC: in Asia/Kolkata, at 0:30. "
            "Months, and the APIs, use UTC."
        ),
        "requires_second_factor": "Members without a second factor are led to set one up and can do nothing else in the"
        " panel until then. Members who sign in by single sign-on are not asked for one here.",
        "allow_keyless_create": "Postal's servers/create works without a key: anyone with the organization's UUID can create"
        " servers. Leave it off unless a program needs it.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in {*quotas.FIELDS} & {*self.fields}:
            self.fields[name].help_text = f"Leave empty to use the platform's {settings.SLUICE_QUOTAS[name]:,}."
        if "permalink" in self.fields:
            self.fields["permalink"].required = False
            self.fields[
                "permalink"
            ].help_text = "Part of SMTP user names and host names. Leave empty to derive it from the name."

    def act(self) -> Organization:
        values = {name: self.cleaned_data[name] for name in self.fields}
        if self.is_new:
            limits = {name: values.pop(name) for name in quotas.FIELDS if name in values}
            return provisioning.create_organization(at=timezone.now(), actor=self.actor, limits=limits, **values)
        if not values.get("permalink", "kept"):
            del values["permalink"]
        return provisioning.change_organization(
            at=timezone.now(), organization=self.instance, actor=self.actor, **values
        )

    def state_before(self) -> tuple[str, bool]:
        return Organization.objects.values_list("permalink", "requires_second_factor").get(pk=self.instance.pk)

    def effect(self, record: Organization, before: tuple[str, bool]) -> Effect | None:
        return effect_of(record, before, is_platform=viewer_of(self.request).is_platform)


def effect_of(record: Organization, before: tuple[str, bool], *, is_platform: bool) -> Effect | None:
    """Return the effects of another permalink, and of demanding a second factor."""
    was, was_required = before
    return organization_factors.both(
        organization_renaming.effect(record, was, is_platform=is_platform, now=timezone.now()),
        organization_factors.effect(record, was_required=was_required),
    )


class SuspendForm(ActForm):
    """The reason of an organization's suspension, which its members can read."""

    reason = forms.CharField(
        max_length=500, widget=text_input(), help_text="Visible to everyone who can view the organization."
    )


@admin.register(Organization)
class OrganizationAdmin(volumes.VolumeColumns, TenantAdmin):
    """Organizations. Only the platform creates them; owners and operators change them."""

    form = OrganizationForm
    list_display = [
        "name", "permalink", "state", *volumes.COLUMNS, "living_servers", "people_count", "pool_count", "created_at",
    ]  # fmt: skip
    rankings = volumes.RANKINGS
    greatest_first = (*volumes.COLUMNS, "living_servers", "people_count", "pool_count")
    volumes_of = staticmethod(volumes.of_organizations)
    list_filter = [AlertFilter, ("suspended_at", by_emptiness("state", empty="Active", filled="Suspended"))]
    search_fields = ["name_key", "permalink", "uuid"]
    search_help_text = "Name, permalink or UUID"
    fields = ["name", "permalink", "time_zone", *OWNERS, *PLATFORMS]
    actions_detail = ["suspend", "resume", "suppression_rules"]
    change_form_outer_before_template = "panel/organization/summary.html"
    change_form_before_template = "panel/parts/preview.html"
    restorable = ("name", "permalink", "time_zone", "allow_keyless_create", *OWNERS)

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.is_platform else records.filter(pk__in=organizations_of(viewer.user))

    def organization_id_of(self, record: Any) -> int | None:
        return record.pk

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        return verb not in ("add", "delete") and super().role_allows(viewer, verb, record)

    @act(
        title="Suppression rules",
        description="Which events suppress their recipients, and what nodes do with mail to them. Existing entries are kept.",
        submit="Save",
        form=SuppressionRulesForm,
        icon="block",
    )
    def suppression_rules(self, request: HttpRequest, record: Organization, form: SuppressionRulesForm) -> str:
        values = {name: form.cleaned_data[name] for name in rules.CHANGEABLE}
        rules.change_rules(organization=record, actor=actor_of(request), **values)
        return "The suppression rules are saved."

    def has_suspend_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Only the platform's staff can suspend organizations."""
        return viewer_of(request).is_platform and self.has_change_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                server_total=count_of(Organization, "servers", Q(deleted_at=None)),
                people_total=count_of(Organization, "memberships"),
                pool_total=count_of(Organization, "organization_pools"),
            )
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        # Whether servers can be made without any key is not for a tenant to open.
        return [*self.withheld(viewer_of(request), None if obj is None else obj.pk)]

    def withheld(self, viewer: Viewer, organization_id: int | None) -> tuple[str, ...]:
        """Return the fields that this person reads only."""
        if viewer.is_platform:
            return ()
        return PLATFORMS if viewer.owns(organization_id) else (*OWNERS, *PLATFORMS)

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        self.add_volumes(request, records, timezone.now())

    @display(description="State", ordering=SUSPENDED_FIRST, label={"active": "success", "suspended": "danger"})
    def state(self, record: Organization) -> str:
        return "suspended" if record.is_suspended else "active"

    @display(description="Servers", ordering="server_total")
    def living_servers(self, record: Any) -> int:
        return record.server_total

    @display(description="People", ordering="people_total")
    def people_count(self, record: Any) -> int:
        return record.people_total

    @display(description="Pools", ordering="pool_total")
    def pool_count(self, record: Any) -> int:
        return record.pool_total

    def summary_of(self, request: HttpRequest, record: Organization) -> dict[str, Any]:
        found = organization_overview.summary(record, viewer_of(request), timezone.now())
        return {**found, "usage_url": self.url_of(record.pk, "usage"), "days_url": self.url_of(record.pk, "days")}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/usage.csv", wrap(self.usage_view), name="servers_organization_usage"),
            path("<path:object_id>/days.csv", wrap(self.days_view), name="servers_organization_days"),
            *super().get_urls(),
        ]

    def file_tools(self, request: HttpRequest) -> list[tuple[str, str]]:
        tools = [("New customer", reverse("admin:new_customer"))] if may_add(self.admin_site, request) else []
        return [*tools, *super().file_tools(request)]

    @long_work.few_at_once
    def usage_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return a CSV file of the organization's usage by month and server."""
        record = self.seen(request, object_id)
        if record is None or not self.has_view_permission(request, record):
            raise Http404
        rows = organization_overview.usage_rows(record, timezone.now())
        return csv_file.answer(f"usage-{record.permalink}.csv", organization_overview.USAGE_COLUMNS, rows)

    @long_work.few_at_once
    def days_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return a CSV file of the organization's usage by day, in its time zone."""
        record = self.seen(request, object_id)
        if record is None or not self.has_view_permission(request, record):
            raise Http404
        rows = organization_overview.daily_rows(record, timezone.now())
        return csv_file.answer(f"days-{record.permalink}.csv", organization_overview.DAILY_COLUMNS, rows)

    @act(
        title="Suspend",
        description="No key of the organization's servers works until it is resumed.",
        form=SuspendForm,
        icon="pause_circle",
        permission="suspend",
        fits=lambda record: not record.is_suspended,
    )
    def suspend(self, request: HttpRequest, record: Organization, form: ActForm) -> str:
        provisioning.suspend_organization(
            organization=record, reason=form.cleaned_data["reason"], at=timezone.now(), actor=actor_of(request)
        )
        return f"{record} is suspended: none of its keys works."

    @act(
        title="Resume",
        description="The keys of its servers work again, except for servers that are suspended themselves.",
        icon="play_circle",
        permission="suspend",
        fits=lambda record: record.is_suspended,
    )
    def resume(self, request: HttpRequest, record: Organization, form: ActForm) -> str:
        provisioning.resume_organization(organization=record, actor=actor_of(request))
        return f"{record} is resumed."

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        organization_deletion.delete_organization(organization=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return [
            "Its memberships are deleted; the accounts are kept.",
            "Its entries in the audit trail are kept.",
        ]

    def obstacles(self, request: HttpRequest, record: Organization) -> list[str]:
        names: dict[str, list[str]] = {}
        for each in organization_deletion.blocking_records(record):
            names.setdefault(each.type, []).append(each.name)
        pools = names.pop("IP pool", [])
        servers = [name for found in names.values() for name in found]
        found = []
        if servers:
            found.append(
                f"It has had servers ({in_short(servers)}). What they sent is counted in its name and recorded in the audit"
                " trail, so it is kept: suspend it, and all its keys stop."
            )
        if pools:
            found.append(f"It has made IP pools ({in_short(pools)}): delete them first.")
        return found

    def state_before(self, record: Organization) -> tuple[str, bool]:
        return record.permalink, record.requires_second_factor

    def effect(self, record: Organization, before: tuple[str, bool]) -> Effect | None:
        return effect_of(record, before, is_platform=False)

    def restore(self, request: HttpRequest, record: Organization, state: dict[str, Any]) -> None:
        withheld = self.withheld(viewer_of(request), record.pk)
        state = {name: value for name, value in state.items() if name not in withheld}
        provisioning.change_organization(at=timezone.now(), organization=record, actor=actor_of(request), **state)
