"""Memberships: the people of an organization and their roles. Owners change them, and invite people; the platform adds them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminEmailInputWidget

from core import password_links
from panel.filters import RecordFilter
from panel.forms.base import ActingForm
from panel.forms.fields import text_input
from panel.pages.base import TenantAdmin
from panel.record_actions import actor_of
from panel.viewer import Viewer
from servers import people
from servers.access import organizations_owned_by
from servers.models import Membership


class MembershipForm(ActingForm):
    """A role. A missing account is created."""

    username = forms.CharField(
        max_length=150,
        widget=text_input(),
        help_text="If the person has no account, one is created.",
    )
    email = forms.EmailField(
        required=False,
        label="E-mail address",
        widget=UnfoldAdminEmailInputWidget(),
        help_text="Of a new account: an invitation with a link to set a password is sent there.",
    )
    invited = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit_choices("organization", organizations_owned_by(self.request.user))
        if "email" in self.fields and not password_links.is_possible():
            self.fields[
                "email"
            ].help_text = f"Of a new account. {password_links.WHY_NOT}: you get its password to hand over."
        if self.is_new and "role" in self.fields:
            # Nobody becomes an owner because that stood first.
            role: Any = self.fields["role"]
            role.choices, role.initial = [("", "Choose a role"), *Membership.Role.choices], ""

    def act(self) -> Membership:
        if not self.is_new:
            return people.change_role(membership=self.instance, role=self.cleaned_data["role"], actor=self.actor)
        added = people.add_person(
            organization=self.cleaned_data["organization"],
            username=self.cleaned_data["username"],
            role=self.cleaned_data["role"],
            email=self.cleaned_data["email"],
            actor=self.actor,
        )
        if added.password is None:
            return added.membership
        user = added.membership.user
        if user.email and password_links.is_possible():
            password_links.invite(user=user, actor=self.actor, organization_id=added.membership.organization_id)
            self.invited = user.email
        else:
            self.secrets = {"Username": user.get_username(), "Password": added.password}
        return added.membership


@admin.register(Membership)
class MembershipAdmin(TenantAdmin):
    """Memberships of people in organizations."""

    form = MembershipForm
    list_display = ["user", "organization", "role", "created_at"]
    list_filter = [("organization", RecordFilter), "role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__username", "user__email", "organization__name_key"]
    search_help_text = "User, e-mail or organization"
    autocomplete_fields = ["organization"]
    add_fieldsets = ((None, {"fields": ["organization", "username", "email", "role"]}),)
    fieldsets = ((None, {"fields": ["user", "organization", "role"]}),)
    shown_once_title = "New account"
    shown_once_notice = "Hand it over now: it is not shown again. The person can change it after signing in."
    restorable = ("role",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user", "organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        return [] if obj is None else ["user", "organization"]

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:  # noqa: FBT001 - Django's signature
        if form.invited:
            messages.success(request, f"An invitation is on its way to {form.invited}.")
        return super().save_form(request, form, change)

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        if verb == "view":
            return super().role_allows(viewer, verb, record)
        if verb == "add":
            # Owners invite: nobody becomes a member without having agreed to it.
            return False
        return viewer.owns_any if record is None else viewer.owns(record.organization_id)

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        people.remove_person(membership=record, actor=actor_of(request))

    def consequences(self, record: Any) -> list[str]:
        return ["The person can no longer see the organization. The account is kept."]

    def restore(self, request: HttpRequest, record: Membership, state: dict[str, Any]) -> None:
        people.change_role(membership=record, role=state["role"], actor=actor_of(request))
