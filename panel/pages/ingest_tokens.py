"""Ingest tokens, with which collectors report events of any server."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.enums import ActionVariant

from panel.filters import by_emptiness
from panel.forms.base import ActingForm
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from stats.intake import tokens
from stats.models import IngestToken


class IngestTokenForm(ActingForm):
    """A name; the key is generated."""

    def act(self) -> IngestToken:
        made = tokens.make_ingest_token(name=self.cleaned_data["name"], actor=self.actor)
        self.secrets = {"Key": made.key}
        return made.token


@admin.register(IngestToken)
class IngestTokenAdmin(PanelAdmin):
    """Ingest tokens. They are created and revoked, not changed."""

    form = IngestTokenForm
    is_changed = is_deleted = False
    list_display = ["name", "key_start", "state", "last_used_at", "created_at"]
    list_filter = [("revoked_at", by_emptiness("state", empty="Not revoked", filled="Revoked"))]
    search_fields = ["name_key", "key_prefix"]
    search_help_text = "Name, or beginning of a token"
    add_fieldsets = ((None, {"fields": ["name"]}),)
    fields = ["name", "key_start", "created_at", "last_used_at", "revoked_at"]
    readonly_fields = ["key_start"]
    actions_detail = ["revoke"]
    shown_once_title = "New ingest token"

    @display(description="Key")
    def key_start(self, record: IngestToken) -> str:
        return f"{record.key_prefix}…"

    @display(description="State", label={"usable": "success", "revoked": "default"})
    def state(self, record: IngestToken) -> str:
        return "usable" if record.revoked_at is None else "revoked"

    @act(
        title="Revoke",
        description="Collectors that use it are refused at once. This cannot be undone.",
        icon="block",
        variant=ActionVariant.DANGER,
        fits=lambda record: record.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, record: IngestToken, form: ActForm) -> str:
        tokens.revoke_ingest_token(token=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is revoked."
