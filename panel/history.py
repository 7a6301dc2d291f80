"""The history page of a record: changes, comparison of two states, and restore.

The way back is shown first: the act runs, what it changes is read, and all is rolled back. The same request with the mark of
what was looked at does it.
"""

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import formats, timezone

from core.errors import NotFound, Refused
from core.locks import advisory
from core.models import AuditEntry
from panel import audit_titles
from panel.audit_values import Difference, Reader
from panel.forms import errors
from panel.forms.previews import Effect
from panel.viewer import Viewer, viewer_of

PER_PAGE = 25


@dataclass(frozen=True, slots=True)
class Version:
    """An entry of the history with what it changed."""

    entry: AuditEntry
    title: str
    differences: list[Difference]
    # Whether the record can be given the values back that it had after this.
    is_restorable: bool


def entries_of(record: Any, viewer: Viewer) -> QuerySet[AuditEntry]:
    """Return the record's audit entries that the user can view, newest first."""
    entries = AuditEntry.objects.filter(target_type=record._meta.label_lower, target_id=str(record.pk))
    if not viewer.is_platform:
        # An address may be in the pools of several tenants: each sees what was done in its own name.
        entries = entries.filter(organization_id__in=list(viewer.roles))
    return entries.order_by("-id")


def before_change(admin: Any, request: HttpRequest, record: Any, entry: AuditEntry) -> AuditEntry | None:
    """Return the entry whose restoring undoes this one; None if it changed nothing that this person may restore."""
    if entry.before is None or entry.after is None or not admin.restorable:
        return None
    if not admin.has_change_permission(request, record):
        return None
    earlier = entries_of(record, viewer_of(request)).filter(pk__lt=entry.pk).exclude(after=None).first()
    state, after = ({}, {}) if earlier is None else (_state(admin, earlier), _state(admin, entry))
    return earlier if state and after and state != after else None


def page(admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the history; a POST with the id of an entry restores the values after it, once confirmed."""
    record = admin.get_object(request, unquote(object_id))
    if record is None:
        return admin._get_obj_does_not_exist_redirect(request, admin.opts, object_id)
    if not admin.has_view_permission(request, record):
        raise PermissionDenied
    entries = entries_of(record, viewer_of(request))
    may_restore = bool(admin.restorable) and admin.has_change_permission(request, record)
    if request.method == "POST":
        return _restore(admin, request, record, entries, may_restore=may_restore)
    current = admin.state_of(record)
    found = Paginator(entries, PER_PAGE).get_page(request.GET.get("page"))
    compared = _compared(request, entries)
    reader = Reader(request, [*found, *compared])
    states = sum(entry.after is not None for entry in found)
    context = {
        **admin.admin_site.each_context(request),
        "title": "History",
        "subtitle": str(record),
        "opts": admin.opts,
        "original": record,
        "object_id": object_id,
        "found": found,
        "versions": [_version(admin, entry, current, reader, may_restore=may_restore) for entry in found],
        "comparison": _comparison(compared, reader),
        # Of one state there is nothing to be compared with.
        "may_compare": states > 1,
        "may_restore": may_restore,
        "back": admin.url_of(record.pk),
    }
    return TemplateResponse(request, "panel/history.html", context)


def _version(admin: Any, entry: AuditEntry, current: dict[str, Any], reader: Reader, *, may_restore: bool) -> Version:
    state = _state(admin, entry)
    differs = bool(state) and any(current.get(name) != value for name, value in state.items())
    return Version(entry, audit_titles.title(entry), reader.of_entry(entry), may_restore and differs)


def _state(admin: Any, entry: AuditEntry) -> dict[str, Any]:
    """Return the restorable part of the state after an entry; empty if the entry has no complete state."""
    after = entry.after or {}
    if not all(name in after for name in admin.restorable):
        return {}
    return {name: after[name] for name in admin.restorable}


def _compared(request: HttpRequest, entries: QuerySet[AuditEntry]) -> list[AuditEntry]:
    """Return the two entries of `?older=<entry>&newer=<entry>`, the older first; none where they are not two of these."""
    asked = [request.GET.get(name, "") for name in ("older", "newer")]
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in asked):
        return []
    found = {entry.pk: entry for entry in entries.filter(pk__in=asked)}
    return [found[pk] for pk in sorted(found)] if len(found) == 2 else []


def _comparison(compared: list[AuditEntry], reader: Reader) -> dict[str, Any] | None:
    """Return two states side by side."""
    if not compared:
        return None
    older, newer = compared
    return {"older": older, "newer": newer, "differences": reader.between(newer, older.after, newer.after)}


def _restore(
    admin: Any, request: HttpRequest, record: Any, entries: QuerySet[AuditEntry], *, may_restore: bool
) -> HttpResponse:
    asked = request.POST.get("entry", "")
    is_id = asked.isascii() and asked.isdigit() and len(asked) < 19
    entry = entries.filter(pk=asked).first() if is_id else None
    if not may_restore:
        raise PermissionDenied
    if entry is None or not (state := _state(admin, entry)):
        messages.error(request, "The version could not be found.")
        return HttpResponseRedirect(admin.url_of(record.pk, "history"))
    at = formats.date_format(timezone.localtime(entry.at), "DATETIME_FORMAT")
    try:
        if not _restore_as_shown(admin, request, record, entry, state):
            current = admin.state_of(record)
            dry_run = _look(admin, request, record, state)
            context = {
                **admin.admin_site.each_context(request),
                "title": f"Restore {record}",
                "opts": admin.opts,
                "original": record,
                "at": at,
                "differences": Reader(request, [_as_entry(record, current), _as_entry(record, dry_run.state)]).between(
                    entry, current, dry_run.state
                ),
                "effect": dry_run.effect,
                "hidden": [("entry", entry.pk), ("confirmed", _mark(entry, current))],
                "back": admin.url_of(record.pk, "history"),
            }
            return TemplateResponse(request, "panel/restore.html", context)
    except Refused as refusal:
        messages.error(request, f"Not restored. {errors.sentence(refusal.message)}.")
        return HttpResponseRedirect(admin.url_of(record.pk, "history"))
    messages.success(request, f"{record} has been restored to its values of {at}.")
    return HttpResponseRedirect(admin.url_of(record.pk))


def _restore_as_shown(admin: Any, request: HttpRequest, record: Any, entry: AuditEntry, state: dict[str, Any]) -> bool:
    """Restore the state if the request has the mark of what the record is now; return whether it did."""
    confirmed = request.POST.get("confirmed")
    if not confirmed:
        return False
    with transaction.atomic():
        # Of several at once, each looks at what the one before it has left.
        advisory(f"panel.restore.{record._meta.label_lower}.{record.pk}")
        try:
            record.refresh_from_db()
        except ObjectDoesNotExist:
            raise NotFound("The record was deleted meanwhile") from None
        if confirmed != _mark(entry, admin.state_of(record)):
            return False
        admin.restore(request, record, state)
    return True


def _mark(entry: AuditEntry, current: dict[str, Any]) -> str:
    return hashlib.sha256(repr((entry.pk, sorted(current.items()))).encode("utf-8", "surrogatepass")).hexdigest()


class _DryRun(Exception):
    def __init__(self, state: dict[str, Any], effect: Effect | None) -> None:
        self.state = state
        self.effect = effect


def _look(admin: Any, request: HttpRequest, record: Any, state: dict[str, Any]) -> _DryRun:
    """Return the state after restoring and its effects on other records; the restore is rolled back."""
    try:
        with transaction.atomic():
            before = admin.state_before(record)
            admin.restore(request, record, copy.deepcopy(state))
            restored = admin.get_queryset(request).get(pk=record.pk)
            raise _DryRun(admin.state_of(restored), admin.effect(restored, before))
    except _DryRun as dry_run:
        return dry_run


def _as_entry(record: Any, state: dict[str, Any]) -> AuditEntry:
    """Wrap a state in an audit entry, for the reader of recorded states."""
    return AuditEntry(target_type=record._meta.label_lower, after=state)
