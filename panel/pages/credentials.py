"""Credentials of servers: keys, and networks for SMTP-IP."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from core.texts import counted
from panel import revealed_keys
from panel.alert_filter import AlertFilter
from panel.bulk import actions, acts
from panel.filters import RecordFilter, by_emptiness
from panel.forms.fields import text_input
from panel.pages.server_children import ServerChildAdmin, ServerChildForm
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import viewer_of
from servers import client_networks, credentials, rotation
from servers.models import Credential
from servers.smtp_users import smtp_user_of

SHOWN_ONCE = "Copy it now. It can be revealed later, which is recorded in the audit trail."


class CredentialForm(ServerChildForm):
    """A credential's own fields. Its server and kind are chosen once."""

    network = forms.CharField(
        required=False,
        max_length=43,
        widget=text_input(),
        help_text="For SMTP-IP only: a network such as 192.0.2.0/24. About some, the platform decides: ask it to add them.",
    )

    def act(self) -> Credential:
        values = dict(self.cleaned_data)
        if not self.is_new:
            values.pop("network", None)
            return credentials.change_credential(credential=self.instance, actor=self.actor, **values)
        server, kind, network = values["server"], values["kind"], values.pop("network")
        if kind == Credential.Kind.SMTP_IP:
            return credentials.create_network_credential(
                server=server, name=values["name"], network=network, at=timezone.now(), actor=self.actor
            )
        made = credentials.create_credential(actor=self.actor, **values)
        self.secrets = {**smtp_user(made.credential), "Key": made.key}
        return made.credential


class RotateForm(ActForm):
    """The time at which the old key becomes invalid."""

    overlap = forms.ChoiceField(
        label="The old key stops",
        choices=[
            ("0", "at once"),
            ("1", "in an hour"),
            ("4", "in 4 hours"),
            ("24", "in 24 hours"),
            ("168", "in 7 days"),
        ],
        initial="0",
        widget=UnfoldAdminSelectWidget(),
    )


_STATES = {"usable": "success", "held": "warning", "expired": "danger", "overlaps another’s": "danger"}


def smtp_user(credential: Credential) -> dict[str, str]:
    """Return the user name that goes with a key for SMTP; an API key needs none."""
    return {"SMTP user": smtp_user_of(credential.server)} if credential.kind == Credential.Kind.SMTP else {}


def _hours(overlap: datetime.timedelta) -> str:
    hours = overlap // datetime.timedelta(hours=1)
    return counted(hours, "hour", "hours") if hours < 48 else counted(overlap.days, "day", "days")


@admin.register(Credential)
class CredentialAdmin(ServerChildAdmin):
    """Credentials."""

    form = CredentialForm
    list_display = ["name", "server", "organization", "kind", "key_start", "state", "last_used_at", "expires_at"]
    list_filter = [
        AlertFilter,
        ("server", RecordFilter),
        "kind",
        ("held_at", by_emptiness("state", empty="Not held", filled="Held")),
        "is_default",
    ]
    search_fields = ["name", "key_prefix", "server__name_key", "server__permalink"]
    search_help_text = "Name, server, or start of a key"
    add_fieldsets = (
        (None, {"fields": ["server", "kind", "name", "network", "can_manage_organization", "expires_at"]}),
    )
    fieldsets = ((None, {"fields": ["name", "can_manage_organization", "expires_at", "key_start", "last_used_at"]}),)
    readonly_fields = ["key_start", "last_used_at"]
    actions = [actions.action(acts.hold_credentials), actions.action(acts.release_credentials)]
    actions_detail = ["reveal", "rotate", "hold", "release", "share"]
    shown_once_notice = SHOWN_ONCE
    restorable = ("name", "expires_at", "can_manage_organization")
    choice_related = ("server__organization",)

    def choice_label(self, record: Credential) -> str:
        # Every server has keys of the same names, and each organization may have servers of the same name.
        return f"{record} of {record.server.name} ({record.server.organization.name})"

    def has_share_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """The platform knows whose clients are whose."""
        return viewer_of(request).is_platform and self.has_change_permission(request, obj)

    def has_reveal_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Users who can change a key can read it; analysts cannot."""
        return self.has_change_permission(request, obj)

    @display(description="Organization", ordering="server__organization__name_key")
    def organization(self, record: Credential) -> str:
        return record.server.organization.name

    @display(description="Key or network")
    def key_start(self, record: Credential) -> str:
        return record.network or f"{record.key_prefix}…"

    @display(description="State", label=_STATES)
    def state(self, record: Credential) -> str:
        if record.held_at is not None:
            return "held"
        if record.is_contested:
            return "overlaps another’s"
        is_expired = record.expires_at is not None and record.expires_at <= timezone.now()
        return "expired" if is_expired else "usable"

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        credentials.delete_credential(credential=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["Programs that use it are refused at once."]

    @act(
        title="Reveal the key",
        description="Revealing the key is recorded in the audit trail.",
        icon="visibility",
        permission="reveal",
        fits=lambda record: record.kind != Credential.Kind.SMTP_IP,
    )
    def reveal(self, request: HttpRequest, record: Credential, form: ActForm) -> HttpResponse:
        key = credentials.reveal_key(credential=record, actor=actor_of(request))
        return revealed_keys.show(
            self,
            request,
            record,
            {**smtp_user(record), "Key": key},
            title="Key",
            notice="This has been recorded in the audit trail.",
        )

    @act(
        title="Rotate the key",
        description="A new key is created. Stop a leaked key at once; leave programs some hours to change to the new one.",
        form=RotateForm,
        icon="sync_lock",
        fits=lambda record: record.kind != Credential.Kind.SMTP_IP,
    )
    def rotate(self, request: HttpRequest, record: Credential, form: ActForm) -> HttpResponse:
        overlap = datetime.timedelta(hours=int(form.cleaned_data["overlap"]))
        made = rotation.rotate(credential=record, overlap=overlap, at=timezone.now(), actor=actor_of(request))
        stops = "The old key has stopped." if not overlap else f"The old key stops in {_hours(overlap)}."
        secrets = {**smtp_user(made.credential), "New key": made.key}
        return revealed_keys.show(
            self, request, made.credential, secrets, title="Key rotated", notice=f"{stops} {SHOWN_ONCE}"
        )

    @act(
        title="Hold",
        description="Programs that use it are refused until it is released.",
        icon="front_hand",
        fits=lambda record: record.held_at is None,
    )
    def hold(self, request: HttpRequest, record: Credential, form: ActForm) -> str:
        credentials.hold_credential(credential=record, at=timezone.now(), actor=actor_of(request))
        return f"{record} is held."

    @act(
        title="Release",
        description="Programs may use it again.",
        icon="lock_open",
        fits=lambda record: record.held_at is not None,
    )
    def release(self, request: HttpRequest, record: Credential, form: ActForm) -> str:
        credentials.release_credential(credential=record, actor=actor_of(request))
        return f"{record} is released."

    @act(
        title="Allow the overlap",
        description="Other organizations’ networks have some of its addresses. Once it is allowed, a client is of the narrowest"
        " network that has it.",
        icon="join_inner",
        permission="share",
        fits=lambda record: record.is_contested,
    )
    def share(self, request: HttpRequest, record: Credential, form: ActForm) -> str:
        credentials.share_network(credential=record, actor=actor_of(request))
        client_networks.settle(at=timezone.now())
        return f"{record} may overlap others."

    def restore(self, request: HttpRequest, record: Credential, state: dict[str, Any]) -> None:
        if state["expires_at"] is not None:
            state["expires_at"] = datetime.datetime.fromisoformat(state["expires_at"])
        credentials.change_credential(credential=record, actor=actor_of(request), **state)
