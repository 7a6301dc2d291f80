"""User accounts: create, change, set a password."""

import re
import secrets
import string
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import TAKEN, Conflict, Fault, Invalid
from core.locks import advisory
from core.models import AuditEntry, User
from core.models.user import validate_time_zone
from core.names import without_invisible

# Without the signs that people confuse when they type them from a screen.
ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))
PASSWORD_LENGTH = 20
# Less than Django's 150 characters: a number may follow.
LONGEST_MADE = 140
_ODD = re.compile(r"[^\w.@+-]+")
CHANGEABLE = frozenset(
    {"username", "first_name", "last_name", "email", "time_zone", "api_level", "is_active", "is_staff", "is_superuser"}
)

# Of a superuser who can sign in to the panel.
_EVERYTHING = ("is_superuser", "is_active", "is_staff")


def make_password() -> str:
    """Return a password of 116 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH))


def clean_username(username: str) -> str:
    """Return the name without surrounding spaces and invisible characters; raises Invalid."""
    username = without_invisible(User.normalize_username(username)).strip()
    if not username:
        raise Invalid(Fault("username", "is required"))
    for validator in User._meta.get_field("username").validators:
        try:
            validator(username)
        except ValidationError:
            raise Invalid(Fault("username", "may have at most 150 letters, digits and @ . + - _ characters")) from None
    return username


def free_username(wanted: str) -> str:
    """Return a name that no account has, in any case: who has the name of another is not that other."""
    # As the account will have it: in another spelling it would be free here, and taken there.
    base = _ODD.sub("-", without_invisible(User.normalize_username(wanted)))[:LONGEST_MADE].strip("-") or "user"
    name, number = base, 1
    while User.objects.filter(username__iexact=name).exists():
        number += 1
        name = f"{base}-{number}"
    return name


@atomic_act
def make_user(
    *,
    username: str,
    password: str | None,
    actor: Actor,
    groups: Iterable[Group] = (),
    permissions: Iterable[Permission] = (),
    **columns: Any,
) -> User:
    """Create an account. A password of None is none: its person signs in by an OpenID provider."""
    _refuse_unknown(columns)
    user = User(username=clean_username(username), **columns)
    user.set_password(password)
    _check(user)
    user.save(force_insert=True)
    user.groups.set(groups)
    user.user_permissions.set(permissions)
    record(actor=actor, act="user.created", target=user, after=document(user))
    return user


@atomic_act
def change_user(
    *,
    user: User,
    actor: Actor,
    groups: Iterable[Group] | None = None,
    permissions: Iterable[Permission] | None = None,
    **changes: Any,
) -> User:
    """Change the given fields; groups and permissions replace the user's. None keeps a field.

    Raises Conflict if nobody could do everything in the panel any more.
    """
    _refuse_unknown(changes)
    changed = locked(User.objects.all(), user.pk, no_key=False)
    before = document(changed)
    loses_everything = any(changes.get(name) is False for name in _EVERYTHING)
    if loses_everything and is_last_superuser(changed):
        raise Conflict("There would be no superuser: make another person one first")
    for name, value in changes.items():
        setattr(changed, name, clean_username(value) if name == "username" else value)
    _check(changed)
    if groups is not None:
        changed.groups.set(groups)
    if permissions is not None:
        changed.user_permissions.set(permissions)
    save_change(changed, before, act="user.changed", actor=actor, document=document)
    return changed


def is_last_superuser(user: User) -> bool:
    """Whether nobody else can do everything; stays true until the transaction ends, in which it must be called."""
    # Of accounts of the API alone, one that is like them is enough.
    wanted = [name for name in _EVERYTHING if user.is_staff or name != "is_staff"]
    if not all(getattr(user, name) for name in wanted):
        return False
    # Of several who lose it at once, each counts on those alone whom the one before it has left.
    advisory("core.users.superusers")
    others = User.objects.filter(**dict.fromkeys(wanted, True)).exclude(pk=user.pk)
    return not others.exists()


@atomic_act
def set_password(*, user: User, password: str, actor: Actor) -> User:
    """Set a new password. This ends all sessions of the user."""
    changed = locked(User.objects.all(), user.pk, no_key=False)
    changed.set_password(password)
    changed.save(update_fields=["password"])
    record(actor=actor, act="user.password_set", target=changed)
    return changed


def renamings(user: User) -> QuerySet[AuditEntry]:
    """Return the entries of when the account got its name from another: what was meant for that name before was another's."""
    changes = AuditEntry.objects.filter(
        target_type=User._meta.label_lower,
        target_id=str(user.pk),
        act="user.changed",
        after__username=user.get_username(),
    )
    return changes.exclude(before__username=user.get_username())


def document(user: User) -> dict[str, Any]:
    """Return the account with its groups and permissions, for the audit trail."""
    return {
        **snapshot(user),
        "groups": _names(user.groups.order_by("name")),
        "permissions": [f"{label}.{name}" for label, name in _permissions(user)],
    }


def _permissions(user: User) -> Iterable[tuple[str, str]]:
    held = user.user_permissions.order_by("content_type__app_label", "codename")
    return held.values_list("content_type__app_label", "codename")


def _names(records: Iterable[Model]) -> list[str]:
    return [str(each) for each in records]


def _check(user: User) -> None:
    faults = []
    if User.objects.exclude(pk=user.pk).filter(username=user.username).exists():
        faults.append(Fault("username", TAKEN))
    try:
        validate_time_zone(user.time_zone)
    except ValidationError:
        faults.append(Fault("time_zone", "is not the name of a time zone"))
    if user.api_level not in User.ApiLevel.values:
        faults.append(Fault("api_level", "must be yes, read_only, stats_only or no"))
    if faults:
        raise Invalid(*faults)


def _refuse_unknown(columns: dict[str, Any]) -> None:
    if unknown := set(columns) - CHANGEABLE:
        raise TypeError(f"{', '.join(sorted(unknown))} cannot be changed by this act")
