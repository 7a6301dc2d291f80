"""IP pools: groups of addresses that servers send from."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display

from alerts import pool_load
from core.errors import Fault, Invalid
from core.references import whole_id
from core.related_counts import count_of
from core.sql_lists import ids as listed
from core.texts import counted
from ippools import drains
from ippools.models import IPAddress, IPPool, IPPoolMember
from panel import volumes, without_counts
from panel.alert_filter import AlertFilter
from panel.forms.base import ActingForm
from panel.forms.drains import DrainingForm
from panel.forms.fields import LookUp, select
from panel.pages import neighbours, pool_addition, pool_overview
from panel.pages.base import TenantAdmin
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import Viewer, viewer_of
from servers import pools
from servers.access import organizations_changed_by, organizations_of, pools_seen_by
from servers.models import Organization, OrganizationPool, Server
from throttling.drain import Mode

SHOWN = 40


class PoolForm(ActingForm):
    """A pool's own fields; its owner is chosen once."""

    organization = forms.ModelChoiceField(
        Organization.objects.none(),
        required=False,
        empty_label="The platform",
        widget=select(),
        help_text="The owner of the pool. Without one it is the platform's, which grants its pools to organizations.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "organization" in self.fields:
            viewer = viewer_of(self.request)
            if viewer.is_platform:
                # Of thousands of organizations none is read to be chosen from.
                grants = OrganizationPool._meta.get_field("organization")
                self.fields["organization"].widget = LookUp(grants, admin.site)
            self.limit_choices("organization", organizations_changed_by(viewer.user))
            self.fields["organization"].required = not viewer.is_platform

    def act(self) -> IPPool:
        values = dict(self.cleaned_data)
        if not self.is_new:
            return pools.change_pool(pool=self.instance, actor=self.actor, **values)
        organization = values["organization"]
        if organization is None:
            return pools.create_platform_pool(
                name=values["name"], is_default=values.get("is_default", False), actor=self.actor
            )
        if values.get("is_default"):
            raise Invalid(Fault("is_default", "is for the platform's pools only: it is the pool of new organizations"))
        return pools.create_pool(organization=organization, name=values["name"], ips=[], actor=self.actor).pool


class SendsFilter(admin.SimpleListFilter):
    """By whether the pool can send mail."""

    title, parameter_name = "state", "sends"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("yes", "With an address that sends"),
            ("no", "No address sends"),
            ("used", "In use, and no address sends"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        sending = Exists(IPPoolMember.objects.filter(pool=OuterRef("pk"), ip_address__delivery_paused=False))
        match self.value():
            case "yes":
                return queryset.filter(sending)
            case "no":
                return queryset.filter(~sending)
            case "used":
                live = Server.objects.living().filter(ip_pool=OuterRef("pk"), mode=Server.Mode.LIVE)
                return queryset.filter(~sending, Exists(live))
            case _:
                return queryset


def loads_of(ids: list[int]) -> dict[int, int]:
    """Return the messages per address in 7 days of each pool that has addresses."""
    members: dict[int, list[int]] = {}
    pairs = IPPoolMember.objects.filter(pool__in=listed(ids))
    for pool_id, address_id in pairs.values_list("pool_id", "ip_address_id"):
        members.setdefault(pool_id, []).append(address_id)
    sent = pool_load.by_day({each for found in members.values() for each in found}, timezone.now())
    return {pool: round(pool_load.per_address(found, sent)) for pool, found in members.items()}


def _loads_of(page: Any, request: HttpRequest, ids: list[int]) -> dict[int, int]:
    return loads_of(ids)


@admin.register(IPPool)
class IPPoolAdmin(volumes.VolumeColumns, TenantAdmin):
    """IP pools. An organization can change its own pools, and only use granted ones."""

    form = PoolForm
    list_display = [
        "name",
        "owner",
        "address_count",
        "messages_per_address",
        *volumes.COLUMNS,
        "server_count",
        "grant_count",
        "is_default",
    ]
    rankings = {**volumes.RANKINGS, "messages_per_address": _loads_of}
    greatest_first = (*volumes.COLUMNS, "messages_per_address", "address_count", "server_count", "grant_count")
    volumes_of = staticmethod(volumes.of_pools)
    list_filter = [AlertFilter, SendsFilter, "is_default"]
    search_fields = ["name_key", "uuid"]
    search_help_text = "Name or UUID"
    add_fieldsets = ((None, {"fields": ["organization", "name", "is_default"]}),)
    fieldsets = ((None, {"fields": ["name", "is_default"]}),)
    actions_detail = ["drain"]
    change_form_outer_before_template = "panel/pool/summary.html"
    restorable = ("name", "is_default")

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.is_platform else records.filter(pk__in=pools_seen_by(viewer.user).values("pk"))

    def organization_id_of(self, record: Any) -> int | None:
        # ExplorerQuery for by every button of the page, and the same for all of them.
        known = record.__dict__
        if "_owner_id" not in known:
            known["_owner_id"] = pools.owner_id_of(record)
        return known["_owner_id"]

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        if verb == "view":
            # The list shows only what the person may see.
            return bool(viewer.roles)
        return super().role_allows(viewer, verb, record)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        viewer = viewer_of(request)
        # Who else uses a pool of the platform's is not for a tenant to know.
        theirs = None if viewer.is_platform else Q(organization__in=organizations_of(viewer.user))
        # Nor whose pool it is that was granted to them.
        told = Organization.objects.all() if viewer.is_platform else organizations_of(viewer.user)
        return (
            super()
            .get_queryset(request)
            .annotate(
                address_total=count_of(IPPool, "members"),
                server_total=count_of(IPPool, "servers", theirs),
                grant_total=count_of(IPPool, "organization_pools", theirs),
                owner_name=Subquery(told.filter(uuid=OuterRef("namespace")).values("name")),
            )
        )

    def choice_label(self, record: IPPool) -> str:
        # Each organization may have a pool of the same name. Whose it is, is only known where the viewer may know it.
        owner = getattr(record, "owner_name", None)
        return f"{record.name} ({owner})" if owner else record.name

    def get_list_display(self, request: HttpRequest) -> list[str]:
        shown = list(super().get_list_display(request))
        return shown if viewer_of(request).is_platform else [name for name in shown if name != "grant_count"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [] if viewer_of(request).is_platform else ["is_default"]

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        self.add_volumes(request, records, timezone.now())
        ids = [record.pk for record in records]
        loads = without_counts.read(request, lambda: loads_of(ids)) or {}
        for record in records:
            record.per_address = loads.get(record.pk)

    @display(description="Owner")
    def owner(self, record: Any) -> str:
        return record.owner_name or ("Another" if record.namespace else "Platform")

    @display(description="Addresses", ordering="address_total")
    def address_count(self, record: Any) -> int:
        return record.address_total

    @display(description="Per address (7 days)", ordering="messages_per_address")
    def messages_per_address(self, record: Any) -> int | None:
        return record.per_address

    @display(description="Servers", ordering="server_total")
    def server_count(self, record: Any) -> int:
        return record.server_total

    @display(description="Granted to", ordering="grant_total")
    def grant_count(self, record: Any) -> int:
        return record.grant_total

    def summary_of(self, request: HttpRequest, record: IPPool) -> dict[str, Any]:
        return {
            **pool_overview.summary(
                record, viewer_of(request), timezone.now(), owner_id=self.organization_id_of(record)
            ),
            "may_add": self.has_change_permission(request, record),
            "add_url": self.url_of(record.pk, "add_addresses"),
            "remove_url": self.url_of(record.pk, "remove_addresses"),
        }

    def has_drain_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Whether the person may say what becomes of addresses in trouble: addresses are in the pools of several tenants."""
        return viewer_of(request).is_platform and self.has_change_permission(request, obj)

    @act(
        title="Draining",
        description="What becomes of the pool’s addresses that are in trouble. An address in several pools follows the least.",
        submit="Save",
        form=DrainingForm,
        icon="healing",
        permission="drain",
    )
    def drain(self, request: HttpRequest, record: IPPool, form: ActForm) -> str:
        chosen = form.cleaned_data["mode"]
        drains.configure(
            record.pk,
            mode=Mode(chosen) if chosen else None,
            share=form.cleaned_data["share"],
            actor=actor_of(request),
        )
        return f"Draining of {record} is changed."

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/add/", wrap(self.add_view_of_addresses), name="ippools_ippool_add_addresses"),
            path("<path:object_id>/neighbours/", wrap(self.neighbours_view), name="ippools_ippool_neighbours"),
            path("<path:object_id>/remove/", wrap(self.remove_view), name="ippools_ippool_remove_addresses"),
            *super().get_urls(),
        ]

    def neighbours_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return whose mail brought the pool's addresses their refusals."""
        record = self.seen(request, object_id)
        members = IPPoolMember.objects.filter(pool=record).values_list("ip_address_id", flat=True)
        return neighbours.page(self, request, record, [] if record is None else list(members))

    def changeable(self, request: HttpRequest, object_id: str) -> IPPool:
        """Return the pool of this id if the person may change it."""
        record: IPPool = self.record_for(request, object_id)
        return record

    def add_view_of_addresses(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add pasted addresses, after a preview."""
        return pool_addition.page(self, request, self.changeable(request, object_id))

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Remove the chosen addresses from the pool, after a confirmation."""
        record = self.changeable(request, object_id)
        chosen = [each for each in request.POST.getlist("address") if whole_id(each)]
        members = IPAddress.objects.filter(memberships__pool=record, pk__in=chosen).order_by("pk")
        if request.method != "POST" or not chosen or not (found := list(members)):
            messages.warning(request, "Choose the addresses to remove from the pool.")
            return HttpResponseRedirect(self.url_of(record.pk))
        if "confirmed" in request.POST:
            total = pools.remove_members(pool=record, addresses=found, actor=actor_of(request))
            messages.success(request, f"{counted(total, 'address', 'addresses')} taken out of {record}.")
            return HttpResponseRedirect(self.url_of(record.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": "Remove addresses",
            "opts": self.opts,
            "original": record,
            "action": request.path,
            "heading": f"Take {counted(len(found), 'address', 'addresses')} out of {record}",
            "notice": "Servers that use the pool no longer send from them. The addresses and their statistics are kept.",
            "shown": [each.ipv4 for each in found[:SHOWN]],
            "more": max(0, len(found) - SHOWN),
            "hidden": [("address", str(each.pk)) for each in found],
            "submit": "Remove",
            "back": self.url_of(record.pk),
        }
        return TemplateResponse(request, "panel/confirm.html", context)

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        pools.delete_pool(pool=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Its addresses and their statistics are kept."]

    def restore(self, request: HttpRequest, record: IPPool, state: dict[str, Any]) -> None:
        pools.change_pool(pool=record, actor=actor_of(request), **state)
