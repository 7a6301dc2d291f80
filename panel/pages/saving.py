"""How a page saves: by its form's act, never by Django's own saving; and where one is afterwards."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from core.models import AuditEntry
from panel import revealed_keys
from panel.next_steps import NEXT

_SECRETS = "_sluice_secrets"
_CHANGED = "_sluice_changed"
_ADDED = "_sluice_added"


class Saving(ModelAdmin):
    """The part of a page that saves."""

    restorable: Sequence[str] = ()
    has_history: bool
    is_kept: Any
    url_of: Any

    # Above a secret that was just made.
    shown_once_title = "New key"
    shown_once_notice = "Copy it now: it is not stored and cannot be shown again."

    def get_form(self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = super().get_form(request, obj, change=change, **kwargs)
        # The class is made for this request.
        form.request = request
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:  # noqa: FBT001 - Django's signature
        request.__dict__[_SECRETS] = form.secrets
        return super().save_form(request, form, change)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # Saving leads to the record, so “Save and continue editing” would be the same button twice.
        context["show_save_and_continue"] = False
        # Django's: "Change IP pool", "View alert".
        title = capfirst(str(self.opts.verbose_name))
        context["title"] = f"Add {self.opts.verbose_name}" if kwargs.get("add") else title
        if (record := context.get("original")) is not None and self.is_kept(record):
            context["show_delete"] = False
        context["show_history"] = self.has_history
        context["comes_next"] = NEXT.get(self.opts.label_lower, "") if kwargs.get("add") else ""
        return super().render_change_form(request, context, *args, **kwargs)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        """Lead to the list. Django's leads to the dashboard where nobody can change such records."""
        response = super().response_delete(request, obj_display, obj_id)
        if self.has_change_permission(request) or not self.has_view_permission(request):
            return response
        return HttpResponseRedirect(
            reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")
        )

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        secrets = request.__dict__.get(_SECRETS)
        if not secrets:
            request.__dict__[_ADDED] = obj
            return super().response_add(request, obj, post_url_continue)
        return revealed_keys.show(
            self, request, obj, secrets, title=self.shown_once_title, notice=self.shown_once_notice
        )

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        request.__dict__[_CHANGED] = obj
        return super().response_change(request, obj)

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        """Say what was done, and how to undo it, where the values before it can be restored."""
        obj = request.__dict__.pop(_CHANGED, None)
        added = request.__dict__.pop(_ADDED, None)
        if (saved := obj if obj is not None else added) is not None:
            # Django's: "The server “Shop” was changed successfully. You may edit it again below."
            done = "saved" if obj is not None else "added"
            message = f"The {self.opts.verbose_name} {saved} is {done}."
        if obj is not None and self.restorable and (entry := _last_change(obj)) is not None:
            url = reverse(f"{self.admin_site.name}:core_auditentry_change", args=[entry])
            message = format_html('{} <a href="{}">See the change, or undo it</a>', message, url)
        super().message_user(request, message, *args, **kwargs)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Redirect to the record's page."""
        return HttpResponseRedirect(self.url_of(obj.pk))

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Redirect to the record's page, as after adding it."""
        return HttpResponseRedirect(self.url_of(obj.pk))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Do nothing: the form has saved it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Do nothing: the form has saved it."""

    # Every act writes its own AuditEntry; Django's log would be a second, lesser copy.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None: ...

    def log_deletions(self, request: HttpRequest, queryset: Any) -> None: ...


def _last_change(obj: Any) -> int | None:
    entries = AuditEntry.objects.filter(target_type=obj._meta.label_lower, target_id=str(obj.pk))
    return entries.exclude(before=None).order_by("-pk").values_list("pk", flat=True).first()
