"""Creates the first superuser of an installation, and resets lost passwords."""

import itertools
from dataclasses import dataclass

from django.db import transaction

from core.audit import Actor, record, snapshot
from core.models import User
from core.users import make_password

FIRST_OPERATOR = "operator"


class NoSuchUser(Exception):
    """The user does not exist; has the message."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A user's name and password in clear text, to print at the terminal."""

    username: str
    password: str


@transaction.atomic
def make_first_operator(*, actor: Actor) -> Operator | None:
    """Create a superuser and return name and password; None if there already is one."""
    if User.objects.filter(is_superuser=True).exists():
        return None
    password = make_password()
    user = User.objects.create_superuser(free_name(), password=password, api_level=User.ApiLevel.YES)
    record(actor=actor, act="user.created", target=user, after=snapshot(user))
    return Operator(user.username, password)


def free_name() -> str:
    """Return `operator`, or the first free name of `operator-2`, `operator-3`, …"""
    taken = set(User.objects.filter(username__startswith=FIRST_OPERATOR).values_list("username", flat=True))
    names = (f"{FIRST_OPERATOR}-{number}" for number in itertools.count(2))
    return FIRST_OPERATOR if FIRST_OPERATOR not in taken else next(name for name in names if name not in taken)


@transaction.atomic
def reset_password(*, username: str, actor: Actor) -> str:
    """Set a new password and return it. This ends all sessions of the user."""
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        raise NoSuchUser(f"The user {username!r} could not be found.")
    password = make_password()
    user.set_password(password)
    user.save(update_fields=["password"])
    record(actor=actor, act="user.password_reset", target=user)
    return password
