"""API tokens, which replace a user's password in HTTP Basic authentication. A token's key is shown once."""

import datetime
from dataclasses import dataclass

from django.db import transaction

from core import keys
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid
from core.models import ApiToken, User
from core.texts import is_storable

NAME_LENGTH = 200


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
    if not 1 <= len(name.strip()) <= NAME_LENGTH or not is_storable(name):
        faults.append(
            Fault("name", f"must be from 1 to {NAME_LENGTH} characters in length, without control characters")
        )
    if expires_at is not None and expires_at <= at:
        faults.append(Fault("expires_at", "must be in the future"))
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
    before = snapshot(token)
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        return False
    token.revoked_at = at
    record(actor=actor, act="api_token.revoked", target=token, before=before, after=snapshot(token))
    return True


def token_of(*, username: str, key: str, at: datetime.datetime) -> ApiToken | None:
    """Return the active user's usable token with this key, by one query."""
    if not is_storable(username):
        return None
    tokens = ApiToken.objects.select_related("user").filter(user__username=username, user__is_active=True)
    return keys.find(tokens, key, at=at)
