"""API tokens: passwords of programs that use GreenArrow's API as a user."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.enums import ActionVariant

from core import tokens
from core.models import ApiToken, User
from panel.filters import by_emptiness
from panel.forms.base import ActingForm
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of


class ApiTokenForm(ActingForm):
    """A user, a name and an expiry; the key is generated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        if not user.is_superuser:
            # A token acts as its user: creating one for other users would allow impersonation.
            self.limit_choices("user", User.objects.filter(username=user.get_username()))

    def act(self) -> ApiToken:
        made = tokens.create_token(at=timezone.now(), actor=self.actor, **self.cleaned_data)
        self.secrets = {"Token": made.key}
        return made.token


@admin.register(ApiToken)
class ApiTokenAdmin(PanelAdmin):
    """API tokens. They are created and revoked, not changed."""

    form = ApiTokenForm
    is_changed = is_deleted = False
    list_display = ["name", "user", "key_start", "state", "last_used_at", "expires_at"]
    list_filter = [("revoked_at", by_emptiness("state", empty="Not revoked", filled="Revoked"))]
    list_select_related = ["user"]
    search_fields = ["name", "key_prefix", "user__username"]
    search_help_text = "Name, user, or start of a token"
    autocomplete_fields = ["user"]
    add_fieldsets = ((None, {"fields": ["user", "name", "expires_at"]}),)
    fields = ["user", "name", "key_start", "created_at", "last_used_at", "expires_at", "revoked_at"]
    readonly_fields = ["key_start"]
    actions_detail = ["revoke"]
    shown_once_title = "New API token"

    @display(description="Token")
    def key_start(self, record: ApiToken) -> str:
        return f"{record.key_prefix}…"

    @display(description="State", label={"usable": "success", "revoked": "default", "expired": "danger"})
    def state(self, record: ApiToken) -> str:
        if record.revoked_at is not None:
            return "revoked"
        return "usable" if record.is_usable(timezone.now()) else "expired"

    @act(
        title="Revoke",
        description="Programs that use it are refused at once. This cannot be undone.",
        icon="block",
        variant=ActionVariant.DANGER,
        fits=lambda record: record.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, record: ApiToken, form: ActForm) -> str:
        tokens.revoke_token(token=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is revoked."
