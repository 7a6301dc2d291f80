"""Shows why a record cannot be deleted before the user tries: runs the deletion and rolls it back."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.apps import apps
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.errors import InUse, Refused
from core.models import AuditEntry
from panel.forms import errors

# What refusals call kinds of records, by model.
MODELS = {
    "ip_address": "ippools.ipaddress",
    "relay_server": "ippools.relayserver",
    "routing_rule": "ippools.routingrule",
    "ip_pool": "ippools.ippool",
    "throttling_template": "throttling.throttlingtemplate",
    "server": "servers.server",
    "pool rule": "servers.ippoolrule",
}
SHOWN = 20
_HIDDEN = "a record that you may not see"


class _DryRun(Exception):
    pass


def obstacles(admin: Any, request: HttpRequest, record: Any) -> Sequence[str | SafeString]:
    """Return the reasons why the record cannot be deleted, a sentence or a link each; empty if it can."""
    try:
        with transaction.atomic():
            # The act may change the record in memory: it gets one of its own.
            admin.delete_act(request, admin.get_queryset(request).get(pk=record.pk))
            raise _DryRun
    except _DryRun:
        return []
    except InUse as refusal:
        lines = _links(admin, request, refusal)
        more = len(refusal.dependencies) - len(lines)
        return ["It is used by:", *lines, *([f"and {more:,} more"] if more else [])]
    except Refused as refusal:
        return [f"{errors.sentence(refusal.message)}."]


def none(admin: Any, request: HttpRequest, record: Any) -> Sequence[str]:
    """Return no reason: for records that can always be deleted, with what may be many rows that go with them."""
    return []


def rehearsed[R](request: HttpRequest, records: Iterable[R]) -> Iterable[R]:
    """Return the records of which the page tries first whether they can be deleted.

    Not those whose deletion was confirmed: the act tells, and a rehearsal takes its locks in another order than others do.
    """
    return () if request.method == "POST" else records


def answer(
    admin: Any, request: HttpRequest, object_id: str, page: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """Return the answer of the page to delete a record; of a confirmed deletion that is refused, the page with the reasons.

    Of one that the same person has deleted before, it is the list. Others are not told that there was such a record.
    """
    try:
        return page(request)
    except Http404:
        # Sent again, from the page that the way back shows.
        if request.method != "POST" or not _was_deleted_by(admin, request, object_id):
            raise
        messages.info(request, f"This {_noun(admin)} is deleted already.")
        return HttpResponseRedirect(
            reverse(f"{admin.admin_site.name}:{admin.opts.app_label}_{admin.opts.model_name}_changelist")
        )
    except Refused as refusal:
        look = copy.copy(request)
        look.method, look.POST = "GET", QueryDict()
        shown = page(look)
        if not (getattr(shown, "context_data", None) or {}).get("protected"):
            # Nothing speaks against it any more, or there is no such record.
            messages.error(request, f"Not deleted. {errors.sentence(refusal.message)}.")
        return shown


def _was_deleted_by(admin: Any, request: HttpRequest, object_id: str) -> bool:
    return AuditEntry.objects.filter(
        target_type=admin.opts.label_lower,
        target_id=object_id,
        actor_kind=AuditEntry.ActorKind.USER,
        actor_id=request.user.pk,
        before__isnull=False,
        after__isnull=True,
    ).exists()


def users(admin: Any, request: HttpRequest, addresses: QuerySet[Any]) -> Sequence[str | SafeString]:
    """Return a line of each address that uses a record, with a link, of those that the person can view."""
    page = admin.admin_site._registry[addresses.model]
    if not page.has_view_permission(request):
        return []
    seen = page.get_queryset(request).filter(pk__in=addresses.values("pk")).order_by("pk")
    total = seen.count()
    lines = [
        format_html('{} <a href="{}">{}</a>', _noun(page), page.url_of(each.pk), each.ipv4) for each in seen[:SHOWN]
    ]
    more = [f"and {total - SHOWN:,} more"] if total > SHOWN else []
    return ["It is used by:", *lines, *more] if lines else []


def _links(admin: Any, request: HttpRequest, refusal: InUse) -> list[str]:
    shown = refusal.dependencies[:SHOWN]
    labels = {each.type: MODELS.get(each.type, "") for each in shown}
    pages = {
        kind: admin.admin_site._registry.get(apps.get_model(label)) if label else None for kind, label in labels.items()
    }
    # One query for each kind, whatever their number.
    seen = {
        kind: set(page.get_queryset(request).filter(pk__in=[each.id for each in shown if each.type == kind])
                  .values_list("pk", flat=True))
        if page is not None and page.has_view_permission(request) else set()
        for kind, page in pages.items()
    }  # fmt: skip
    return [
        format_html('{} <a href="{}">{}</a>', _noun(page), page.url_of(each.id), each.name)
        if (page := pages[each.type]) is not None and each.id in seen[each.type]
        else _HIDDEN
        for each in shown
    ]


def _noun(page: Any) -> str:
    return str(page.opts.verbose_name)
