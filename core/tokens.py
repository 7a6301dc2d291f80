"""API tokens, which replace a user's password in HTTP Basic authentication. A token's key is shown once."""

import datetime
from dataclasses import dataclass

from django.db import transaction

from core import ends, keys
from core.acts import locked, save_change
from core.audit import Actor, record, snapshot
from core.compiled import Compiled
from core.errors import Fault, Invalid
from core.models import ApiToken, User
from core.texts import is_storable, is_visible

NAME_LENGTH = 200
_COLUMNS = tuple(field.attname for field in ApiToken._meta.concrete_fields)
_USERS = tuple(field.attname for field in User._meta.concrete_fields)
_BY_DIGEST = Compiled(
    (str,),
    lambda text: ApiToken.objects.filter(key_digest=text).values_list(*_COLUMNS, *(f"user__{name}" for name in _USERS)),
)


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token and its key, which is not stored."""

    token: ApiToken
    key: str


@transaction.atomic
def create_token(
    *, user: User, name: str, expires_at: datetime.datetime | None, at: datetime.datetime, actor: Actor
) -> CreatedToken:
    """Create a token for the user; raises Invalid. `expires_at` None: it does not expire."""
    faults = []
    if not is_visible(name) or len(name.strip()) > NAME_LENGTH or not is_storable(name):
        faults.append(
            Fault("name", f"must be from 1 to {NAME_LENGTH} characters in length, without control characters")
        )
    faults += ends.faults_of("expires_at", expires_at, at=at)
    if faults:
        raise Invalid(*faults)
    token = ApiToken(user=user, name=name.strip(), expires_at=expires_at)
    key = keys.issue(token)
    token.save(force_insert=True)
    record(actor=actor, act="api_token.created", target=token, after=snapshot(token))
    return CreatedToken(token, key)


@transaction.atomic
def revoke_token(*, token: ApiToken, at: datetime.datetime, actor: Actor) -> bool:
    """Revoke a token at once; return whether it was not revoked before."""
    revoked = locked(ApiToken.objects.all(), token.pk)
    before = snapshot(revoked)
    revoked.revoked_at = token.revoked_at = revoked.revoked_at or at
    return save_change(revoked, before, act="api_token.revoked", actor=actor)


def token_of(*, username: str, key: str, at: datetime.datetime) -> ApiToken | None:
    """Return the active user's usable token with this key, by one query."""
    row = _BY_DIGEST.first(keys.digest(key))
    if row is None:
        return None
    token = ApiToken.from_db("default", _COLUMNS, row[: len(_COLUMNS)])
    token.user = User.from_db("default", _USERS, row[len(_COLUMNS) :])
    is_theirs = token.user.username == username and token.user.is_active
    return token if is_theirs and token.is_usable(at) else None
