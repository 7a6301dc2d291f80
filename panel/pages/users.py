"""User accounts of people, and of programs that use GreenArrow's API."""

import datetime
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth import password_validation
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from core import identities, password_links, second_factor, users
from core.models import User
from panel.formatting import moment
from panel.forms.base import ActingForm
from panel.forms.fields import time_zone_field
from panel.forms.passwords import NEW, PasswordTwice
from panel.pages.base import PanelAdmin
from panel.record_actions import ActForm, act, actor_of
from panel.viewer import Viewer
from servers.models import Invitation, Membership

SHOWN = 50


class UserForm(ActingForm):
    """An account. Only superusers grant permissions."""

    labels: ClassVar[dict[str, str]] = {
        "username": "Username",
        "email": "E-mail address",
        "is_active": "May sign in",
        "is_staff": "May use the panel",
        "is_superuser": "Superuser",
        "user_permissions": "Permissions",
    }
    helps: ClassVar[dict[str, str]] = {
        "username": "At most 150 letters, digits and @ . + - _",
        "is_active": "Switch this off instead of deleting the account: the audit trail refers to it.",
        "is_staff": "Accounts of programs need the API only.",
        "is_superuser": "May do everything, and give permissions to others.",
        "groups": "A group gives its permissions to its members.",
        "user_permissions": "What the account may do on the platform. Members of organizations need none: their role decides.",
    }
    time_zone = time_zone_field()
    password = forms.CharField(
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs=NEW),
        help_text="At least ten characters. The person can change it after signing in.",
    )

    def clean_password(self) -> str:
        password_validation.validate_password(self.cleaned_data["password"])
        return self.cleaned_data["password"]

    def act(self) -> User:
        values = dict(self.cleaned_data)
        if "user_permissions" in values:
            values["permissions"] = values.pop("user_permissions")
        if self.is_new:
            return users.make_user(actor=self.actor, **values)
        return users.change_user(user=self.instance, actor=self.actor, **values)


class PasswordForm(PasswordTwice, ActForm):
    """A new password for the account."""

    def whose(self) -> User:
        user: User = self.record
        return user


@admin.register(User)
class UserAdmin(PanelAdmin):
    """Users. They are deactivated, not deleted, because the audit trail refers to them."""

    form = UserForm
    is_deleted = False
    list_display = [
        "user_name",
        "mailbox",
        "may_sign_in",
        "may_use_the_panel",
        "superuser",
        "api_level",
        "last_sign_in",
    ]
    list_filter = ["is_active", "is_staff", "is_superuser", "api_level"]
    ordering = ["username"]
    search_fields = ["username", "email", "first_name", "last_name"]
    search_help_text = "Username, e-mail or name"
    readonly_fields = ["last_signed_in", "made"]
    actions_detail = ["give_password", "send_link", "end_single_sign_on"]
    change_form_outer_before_template = "panel/user.html"
    own_fields = ("username", "first_name", "last_name", "email", "time_zone", "is_active", "is_staff")
    # Only superusers grant permissions, also for GreenArrow's API; users cannot extend their own.
    rights = ("is_superuser", "api_level", "groups", "user_permissions")

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        first = [*self.own_fields, *(["password"] if obj is None else ["last_signed_in", "made"])]
        sets: list[Any] = [(None, {"fields": first})]
        if request.user.is_superuser:
            sets.append(("Permissions", {"fields": list(self.rights)}))
        return sets

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is not None and not isinstance(obj, User):
            obj = self.seen(request, obj)
        return not (obj is not None and is_above(obj, request.user)) and super().has_change_permission(request, obj)

    def has_operate_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is not None and not isinstance(obj, User):
            obj = self.seen(request, obj)
        # The own password is changed on the account's page, which asks for it: a stolen session must not give another.
        return obj != request.user and self.has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> list[str]:
        # So is the own e-mail address, to which links to set a password are sent.
        return [*self.readonly_fields, *(["email"] if obj == request.user else [])]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user_permissions":
            # Of what the panel has pages for; nothing else asks for a permission.
            names = [Q(app_label=model._meta.app_label, model=model._meta.model_name) for model in admin.site._registry]
            kinds = ContentType.objects.filter(reduce(or_, names))
            found = Permission.objects.filter(content_type__in=kinds).select_related("content_type")
            kwargs["queryset"] = found.order_by("content_type__app_label", "content_type__model", "pk")
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None:
            if db_field.name == "user_permissions":
                field.label_from_instance = _permission_in_words
            # A list in which a click without a key held down forgets all others is no choice of forty.
            choices, field.widget = field.choices, UnfoldAdminCheckboxSelectMultipleWidget()
            field.widget.choices = choices
        return field

    @display(description="Username", ordering="username")
    def user_name(self, record: User) -> str:
        return record.username

    @display(description="E-mail address", ordering="email")
    def mailbox(self, record: User) -> str:
        return record.email or self.empty_value_display

    @display(description="May sign in", ordering="is_active", boolean=True)
    def may_sign_in(self, record: User) -> bool:
        return record.is_active

    @display(description="May use the panel", ordering="is_staff", boolean=True)
    def may_use_the_panel(self, record: User) -> bool:
        return record.is_staff

    @display(description="Superuser", ordering="is_superuser", boolean=True)
    def superuser(self, record: User) -> bool:
        return record.is_superuser

    @display(description="Last sign-in", ordering="last_login")
    def last_sign_in(self, record: User) -> datetime.datetime | None:
        return record.last_login

    @display(description="Last sign-in")
    def last_signed_in(self, record: User) -> str | None:
        return None if record.last_login is None else moment(record.last_login)

    @display(description="Created")
    def made(self, record: User) -> str:
        return moment(record.date_joined)

    @act(
        title="Set a password",
        description="The person is signed out of all sessions.",
        form=PasswordForm,
        icon="password",
    )
    def give_password(self, request: HttpRequest, record: User, form: ActForm) -> str:
        users.set_password(user=record, password=form.cleaned_data["password"], actor=actor_of(request))
        return f"{record} has a new password."

    @act(
        title="Send a link",
        description="By e-mail: it works once, and lets the person set a password. A second factor stays.",
        icon="forward_to_inbox",
        fits=lambda record: bool(record.email and record.is_active and record.is_staff),
    )
    def send_link(self, request: HttpRequest, record: User, form: ActForm) -> str:
        password_links.invite(user=record, actor=actor_of(request))
        return f"A link to set a password is on its way to {record.email}."

    @act(
        title="End single sign-on",
        description="The person of the provider no longer signs in as this user, and gets a new account if they have a role.",
        icon="link_off",
        fits=lambda record: record.identities.exists(),
    )
    def end_single_sign_on(self, request: HttpRequest, record: User, form: ActForm) -> str:
        for identity in record.identities.all():
            identities.unlink(identity=identity, actor=actor_of(request))
        return f"{record} no longer signs in by a provider."

    def summary_of(self, request: HttpRequest, record: User) -> dict[str, Any]:
        memberships = (
            Membership.objects.filter(user=record).select_related("organization").order_by("organization__name_key")
        )
        return {
            "person": record,
            "memberships": list(memberships[:SHOWN]),
            "membership_total": memberships.count(),
            "factor": second_factor.status(record),
            "identities": list(record.identities.all()),
        }

    def state_of(self, record: User) -> dict[str, Any]:
        return users.document(record)


def is_above(user: User, viewer: Any) -> bool:
    """Whether the user has rights that the viewer lacks: the viewer could otherwise take over the account.

    Rights are permissions, roles in organizations, those of open invitations too, and access to GreenArrow's API.
    """
    if viewer.is_superuser or user.pk == viewer.pk:
        return False
    # Also what an inactive account may do once it is active again.
    return (
        user.is_superuser
        or _API_LEVELS.index(user.api_level) > _API_LEVELS.index(viewer.api_level)
        or not _permissions(user) <= viewer.get_all_permissions()
        or not _roles(user) | _offered_roles(user) <= _roles(viewer)
    )


_VERBS = ("view", "add", "change", "delete")


def _permission_in_words(permission: Permission) -> str:
    """Return "IP address: change", where Django's label begins with its app: "Addresses | ip address | Can change …"."""
    model = permission.content_type.model_class()
    noun = str(model._meta.verbose_name) if model is not None else permission.content_type.model
    verb = permission.codename.partition("_")[0]
    return f"{capfirst(noun)}: {verb}" if verb in _VERBS else permission.name


# Each may do what those before it may.
_API_LEVELS = (User.ApiLevel.NO, User.ApiLevel.STATS_ONLY, User.ApiLevel.READ_ONLY, User.ApiLevel.YES)


def _roles(user: User) -> set[tuple[int, str]]:
    return set(Membership.objects.filter(user=user).values_list("organization_id", "role"))


def _offered_roles(user: User) -> set[tuple[int, str]]:
    """The roles that the account has only to accept, also where it may not sign in now."""
    invitations = Invitation.objects.open(timezone.now()).filter(username=user.get_username())
    return set(invitations.values_list("organization_id", "role"))


def _permissions(user: User) -> set[str]:
    rows = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return {f"{app}.{name}" for app, name in rows.values_list("content_type__app_label", "codename")}


admin.site.unregister(Group)
# Its page shows the secrets of second factors to every user who can view it.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


@admin.register(Group)
class GroupAdmin(PanelAdmin):
    """Groups: sets of permissions for the platform's staff. Only superusers change them."""

    is_added = is_changed = is_deleted = False
    list_display = ["name"]
    search_fields = ["name"]
    search_help_text = "Name"
    fields = ["name", "permissions"]

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        return records if viewer.user.is_superuser else records.none()
