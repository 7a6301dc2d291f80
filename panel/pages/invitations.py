"""Invitations to organizations, until their people accept them. Owners make and withdraw them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminEmailInputWidget

from core import password_links
from panel.filters import RecordFilter
from panel.forms.base import ActingForm
from panel.forms.fields import text_input
from panel.pages.base import TenantAdmin
from panel.record_actions import actor_of
from panel.viewer import Viewer
from servers import invitations
from servers.access import organizations_owned_by
from servers.models import Invitation, Membership


class InvitationForm(ActingForm):
    """A role, and whom it is offered to: a mailbox or an account."""

    email = forms.EmailField(
        required=False,
        label="E-mail address",
        widget=UnfoldAdminEmailInputWidget(),
        help_text="A link to accept or decline is sent there. The person accepts with their account, or with a new one.",
    )
    username = forms.CharField(
        max_length=150,
        required=False,
        widget=text_input(),
        help_text="Instead of an e-mail address: the account with this name finds the invitation on its page.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit_choices("organization", organizations_owned_by(self.request.user))
        if "email" in self.fields and not password_links.is_possible():
            self.fields["email"].help_text = f"{password_links.WHY_NOT}: you get the link to hand over."
        if "role" in self.fields:
            # Nobody becomes an owner because that stood first.
            role: Any = self.fields["role"]
            role.choices, role.initial = [("", "Choose a role"), *Membership.Role.choices], ""

    def act(self) -> Invitation:
        invitation = invitations.invite(
            organization=self.cleaned_data["organization"],
            role=self.cleaned_data["role"],
            username=self.cleaned_data["username"],
            email=self.cleaned_data["email"],
            at=timezone.now(),
            actor=self.actor,
        )
        if invitation.email and not invitation.is_mailed:
            self.secrets = {"Link": invitations.url_of(invitation, self.request.build_absolute_uri("/"))}
        return invitation


@admin.register(Invitation)
class InvitationAdmin(TenantAdmin):
    """Invitations."""

    form = InvitationForm
    is_changed = False
    list_display = ["invited", "organization", "role", "state", "created_at", "expires_at"]
    list_filter = [("organization", RecordFilter), "role"]
    list_select_related = ["organization"]
    search_fields = ["username", "email", "organization__name_key"]
    search_help_text = "Username or organization"
    autocomplete_fields = ["organization"]
    add_fieldsets = ((None, {"fields": ["organization", "email", "username", "role"]}),)
    fieldsets = ((None, {"fields": ["organization", "invited", "role", "state", "created_at", "expires_at"]}),)
    readonly_fields = ["invited", "state", "created_at", "expires_at"]
    shown_once_title = "Invitation"
    shown_once_notice = "Hand the link over now: it is not shown again. It works once, within seven days."

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("organization")

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    @display(description="Invited", ordering="username")
    def invited(self, record: Invitation) -> str:
        return record.whom

    # Not whether it was declined: that would tell that there is such an account.
    @display(description="State", label={"invited": "warning", "expired": "default"})
    def state(self, record: Invitation) -> str:
        return "expired" if record.is_expired(timezone.now()) else "invited"

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        if verb == "view":
            return super().role_allows(viewer, verb, record)
        return viewer.owns_any if record is None else viewer.owns(record.organization_id)

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        invitations.withdraw(invitation=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["It can no longer be accepted."]
