"""A record's history from the audit trail: who changed what, any two states side by side, and the way back."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from core.errors import Refused
from core.models import AuditEntry
from panel import faults
from panel.viewer import Viewer, viewer_of

PER_PAGE = 25
SHOWN_LENGTH = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in two states, as people read it."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Version:
    """An entry of the history with what it changed."""

    entry: AuditEntry
    differences: list[Difference]
    # Whether the record can be given the values back that it had after this.
    is_restorable: bool


def entries_of(record: Any, viewer: Viewer) -> QuerySet[AuditEntry]:
    """Return what happened to the record, newest first, as far as the person may know of it."""
    entries = AuditEntry.objects.filter(target_type=record._meta.label_lower, target_id=str(record.pk))
    if not viewer.is_platform:
        # An address may be in the pools of several tenants: each sees what was done in its own name.
        entries = entries.filter(organization_id__in=list(viewer.roles))
    return entries.order_by("-id")


def differences(model: Any, before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[Difference]:
    """Return the fields that differ between two states; None is the state in which there was no record."""
    old, new = before or {}, after or {}
    return [
        Difference(label_of(model, name), shown(old.get(name)), shown(new.get(name)))
        for name in dict.fromkeys([*new, *old])
        if old.get(name) != new.get(name)
    ]


def label_of(model: Any, attribute: str) -> str:
    """Return a column's name as the forms call it."""
    for field in model._meta.concrete_fields:
        if field.attname == attribute:
            return str(field.verbose_name)
    return attribute.replace("_", " ")


def shown(value: Any) -> str:
    """Return a stored value as a person reads it."""
    match value:
        case None | "":
            return "—"
        case True:
            return "yes"
        case False:
            return "no"
        case list():
            return ", ".join(shown(each) for each in value)[:SHOWN_LENGTH] or "—"
        case dict():
            return "; ".join(f"{key}: {shown(each)}" for key, each in value.items())[:SHOWN_LENGTH] or "—"
        case _:
            return str(value)[:SHOWN_LENGTH]


def page(admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the history; a POST with the id of an entry gives the record the values back that it had after it."""
    record = admin.get_object(request, unquote(object_id))
    if record is None:
        return admin._get_obj_does_not_exist_redirect(request, admin.opts, object_id)
    if not admin.has_view_permission(request, record):
        raise PermissionDenied
    entries = entries_of(record, viewer_of(request))
    may_restore = bool(admin.restorable) and admin.has_change_permission(request, record)
    if request.method == "POST":
        return _restore(admin, request, record, entries, may_restore)
    current = admin.state_of(record)
    found = Paginator(entries, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        **admin.admin_site.each_context(request),
        "title": "History",
        "subtitle": str(record),
        "opts": admin.opts,
        "original": record,
        "object_id": object_id,
        "found": found,
        "versions": [_version(admin, entry, current, may_restore=may_restore) for entry in found],
        "comparison": _comparison(admin, request, entries),
        "may_restore": may_restore,
        "back": admin.url_of(record.pk),
    }
    return TemplateResponse(request, "panel/history.html", context)


def _version(admin: Any, entry: AuditEntry, current: dict[str, Any], *, may_restore: bool) -> Version:
    state = _state(admin, entry)
    differs = bool(state) and any(current.get(name) != value for name, value in state.items())
    return Version(entry, differences(admin.model, entry.before, entry.after), may_restore and differs)


def _state(admin: Any, entry: AuditEntry) -> dict[str, Any]:
    """Return the restorable part of the state after an entry; empty where the entry holds no whole state."""
    after = entry.after or {}
    if not all(name in after for name in admin.restorable):
        return {}
    return {name: after[name] for name in admin.restorable}


def _comparison(admin: Any, request: HttpRequest, entries: QuerySet[AuditEntry]) -> dict[str, Any] | None:
    """Return two states side by side, for `?older=<entry>&newer=<entry>`."""
    asked = [request.GET.get(name, "") for name in ("older", "newer")]
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in asked):
        return None
    found = {str(entry.pk): entry for entry in entries.filter(pk__in=asked)}
    if len(found) < 2:
        return None
    older, newer = sorted(found.values(), key=lambda entry: entry.pk)
    return {"older": older, "newer": newer, "differences": differences(admin.model, older.after, newer.after)}


def _restore(
    admin: Any, request: HttpRequest, record: Any, entries: QuerySet[AuditEntry], may_restore: bool
) -> HttpResponse:
    asked = request.POST.get("entry", "")
    is_id = asked.isascii() and asked.isdigit() and len(asked) < 19
    entry = entries.filter(pk=asked).first() if is_id else None
    if not may_restore:
        raise PermissionDenied
    if entry is None or not (state := _state(admin, entry)):
        messages.error(request, "There is no such version to go back to.")
        return HttpResponseRedirect(admin.url_of(record.pk, "history"))
    try:
        admin.restore(request, record, state)
    except Refused as refusal:
        messages.error(request, f"Not restored. {faults.sentence(refusal.message)}.")
        return HttpResponseRedirect(admin.url_of(record.pk, "history"))
    messages.success(request, f"{record} has its values of {entry.at:%Y-%m-%d %H:%M} UTC again.")
    return HttpResponseRedirect(admin.url_of(record.pk))
