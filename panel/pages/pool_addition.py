"""Adding addresses to a pool: what is asked, and what the preview tells before it is done."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from core.errors import Refused
from core.texts import counted
from ippools import ranges
from ippools.models import IPAddress, IPPool, IPPoolMember, WarmUp
from ippools.public_addresses import BOUND_AND_PUBLIC, hidden, seen
from panel import dns_differences
from panel.formatting import in_short, limits_in_words
from panel.forms import errors
from panel.forms.fields import LookUp, RecordField, select, text_area
from panel.record_actions import actor_of
from panel.viewer import Viewer, viewer_of
from servers import pool_addresses, spf_changes
from servers.access import pools_seen_by, servers_of
from servers.dns_records import Sending
from servers.dns_wanted import wanted_for
from servers.models import Organization
from servers.pool_addresses import Addition
from throttling.models import ThrottlingTemplate, WarmUpPlan

NO_PLAN = "none"
SHOWN = 40


class AddressesForm(forms.Form):
    """Addresses to be added, as people paste them, and what bounds them from the first message on."""

    addresses = forms.CharField(
        max_length=200_000,
        widget=text_area(rows=8, placeholder="192.0.2.1\n192.0.2.16/28\n192.0.2.64-192.0.2.70", spellcheck="false"),
        help_text=f"Addresses, networks or spans, at most {ranges.MOST_ADDRESSES:,} addresses at once.",
    )
    template = RecordField(
        ThrottlingTemplate.objects.none(),
        help_text="The limits of the new addresses. Existing addresses keep their template.",
    )
    plan = forms.ChoiceField(
        widget=select(),
        label="Warm up by",
        help_text="New addresses that send much at once are blocked. What they may not send yet leaves by the others.",
    )

    def __init__(self, *args: Any, site: AdminSite, is_platform: bool, may_warm_up: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_platform:
            template: Any = self.fields["template"]
            # Of hundreds of templates none but this one is read.
            template.widget = LookUp(IPAddress._meta.get_field("template"), site)
            template.widget.is_required = True
            template.queryset = templates = ThrottlingTemplate.objects.all()
            template.initial = template.widget.loaded = templates.filter(is_default=True).first()
        else:
            del self.fields["template"]
        if may_warm_up:
            plans = [(str(pk), name) for pk, name in WarmUpPlan.objects.order_by("pk").values_list("pk", "name")]
            choices: Any = self.fields["plan"]
            # A plan is what is proposed: that an address is not new has to be said.
            choices.choices = [*plans, (NO_PLAN, "No plan: they have sent as much before")]
        else:
            del self.fields["plan"]

    @property
    def plan_id(self) -> int | None:
        """Return the chosen plan; None for none."""
        chosen = self.cleaned_data.get("plan", NO_PLAN)
        return None if chosen == NO_PLAN else int(chosen)


def page(admin: Any, request: HttpRequest, record: IPPool) -> HttpResponse:
    """Show the form, then the preview, then add the addresses and redirect to the pool."""
    viewer = viewer_of(request)
    form = AddressesForm(
        request.POST if request.method == "POST" else None,
        site=admin.admin_site,
        is_platform=viewer.is_platform,
        may_warm_up=admin.admin_site._registry[WarmUp].has_add_permission(request),
    )
    preview: dict[str, Any] = {"addition": None}
    if form.is_valid():
        text, template = form.cleaned_data["addresses"], form.cleaned_data.get("template")
        try:
            if "add" in request.POST:
                done = pool_addresses.add_pasted(
                    pool=record,
                    text=text,
                    template=template,
                    plan_id=form.plan_id,
                    at=timezone.now(),
                    actor=actor_of(request),
                )
                messages.success(request, f"{counted(done.total, 'address', 'addresses')} added to {record}.")
                return HttpResponseRedirect(admin.url_of(record.pk))
            addition = pool_addresses.plan(pool=record, text=text)
            preview = preview_of(record, addition, viewer, template=template, plan_id=form.plan_id)
        except Refused as refusal:
            errors.show(form, refusal)
    context = {
        **admin.admin_site.each_context(request),
        "title": "Add addresses",
        "opts": admin.opts,
        "original": record,
        "form": form,
        "media": form.media,
        "back": admin.url_of(record.pk),
        **preview,
    }
    return TemplateResponse(request, "panel/pool/add.html", context)


def preview_of(
    pool: IPPool, addition: Addition, viewer: Viewer, *, template: ThrottlingTemplate | None, plan_id: int | None
) -> dict[str, Any]:
    """Return the effects of adding: names, limits, warm-up, where others are already, and the SPF records that change."""
    template = template or ThrottlingTemplate.objects.get(is_default=True)
    rules = template.rules
    unseen = [each for ipv4 in addition.made for each in hidden(ipv4, None, None, None)]
    joining = [
        Sending(each, addition.hostnames[ipv4]) for ipv4 in addition.made for each in seen(ipv4, None, None, None)
    ]
    for address in addition.used:
        bound = [getattr(address, column) for column in BOUND_AND_PUBLIC]
        joining += [Sending(each, address.hostname) for each in seen(*bound)]
        unseen += hidden(*bound)
    changes = spf_changes.of_joining(pool, joining, servers_of(viewer.user))
    places = _places([*addition.used, *addition.taken], viewer)
    return {
        "addition": addition,
        "made": [(ipv4, addition.hostnames[ipv4]) for ipv4 in addition.made[:SHOWN]],
        "used": [(each.ipv4, places.get(each.pk, "")) for each in addition.used[:SHOWN]],
        "refused": _with_places(addition, places),
        "more_made": max(0, len(addition.made) - SHOWN),
        "more_used": max(0, len(addition.used) - SHOWN),
        "more_refused": max(0, len(addition.refused) - SHOWN),
        "template": template,
        # New ones, and those of no pool: others have sent before.
        "cold_total": addition.total - len(pool_addresses.in_pools(addition.used)),
        "limits": limits_in_words(rules.max_concurrent_connections, rules.max_messages_per_hour),
        "plan": None if plan_id is None else WarmUpPlan.objects.filter(pk=plan_id).first(),
        # Neither the template nor a plan holds them back.
        "is_unlimited": plan_id is None and rules.max_messages_per_hour == 0,
        "unseen": unseen[:SHOWN],
        "unseen_more": max(0, len(unseen) - SHOWN),
        "spf": changes,
        "spf_changes": [shown for each in changes.found if (shown := _shown(each))],
    }


def _places(addresses: Iterable[Any], viewer: Viewer) -> dict[int, str]:
    """Return which pools each address is in, of those that the person can view, with their owners."""
    members = IPPoolMember.objects.filter(ip_address__in=[each.pk for each in addresses])
    visible = members.filter(pool__in=pools_seen_by(viewer.user)).order_by("pool__name_key", "pool_id")
    rows = list(visible.values_list("ip_address_id", "pool__name", "pool__namespace"))
    owners = dict(
        Organization.objects.filter(uuid__in={owner for _, _, owner in rows if owner}).values_list("uuid", "name")
    )
    names: dict[int, list[str]] = {}
    for pk, name, owner in rows:
        names.setdefault(pk, []).append(f"{name} of {owners[owner]}" if owner in owners else name)
    return {pk: in_short(found) for pk, found in names.items()}


def _with_places(addition: Addition, places: dict[int, str]) -> list[tuple[str, str]]:
    taken = {each.ipv4: places.get(each.pk, "") for each in addition.taken}
    return [
        (entry, f"is in {taken[entry]} already" if taken.get(entry) else reason)
        for entry, reason in addition.refused[:SHOWN]
    ]


def _shown(change: spf_changes.Change) -> dict[str, Any] | None:
    """Return the record to publish beside the one that DNS answered last; None: that one has room for the addresses."""
    found = dns_differences.found_for(change.record, change.answer) if change.answer else None
    wanted = wanted_for(change.record, change.answer)
    if wanted is None:
        return None
    return {
        "domain": change.domain,
        "value": wanted,
        "difference": None if found is None else dns_differences.difference(wanted, found),
    }
