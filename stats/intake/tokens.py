"""Ingest tokens: create, revoke, authenticate."""

import datetime
from dataclasses import dataclass

from django.db import transaction

from core import keys
from core.acts import locked, save_change
from core.atomic_acts import atomic_act
from core.audit import Actor, record, snapshot
from core.errors import TAKEN, Fault, Invalid
from core.names import fold
from core.texts import clean_name
from stats.models import IngestToken


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new token with its key, which is not stored and cannot be shown again."""

    token: IngestToken
    key: str


@atomic_act
def make_ingest_token(*, name: str, actor: Actor) -> MadeToken:
    """Create a token of the platform; names of active tokens are unique."""
    name = clean_name(name)
    if IngestToken.objects.filter(revoked_at=None, name_key=fold(name)).exists():
        raise Invalid(Fault("name", TAKEN))
    token = IngestToken(name=name)
    key = keys.issue(token)
    token.save(force_insert=True)
    record(actor=actor, act="ingest_token.created", target=token, after=snapshot(token))
    return MadeToken(token, key)


@transaction.atomic
def revoke_ingest_token(*, token: IngestToken, at: datetime.datetime, actor: Actor) -> IngestToken:
    """Revoke the token; revoking it again changes nothing."""
    revoked = locked(IngestToken.objects.all(), token.pk, no_key=False)
    before = snapshot(revoked)
    revoked.revoked_at = revoked.revoked_at or at
    save_change(revoked, before, act="ingest_token.revoked", actor=actor)
    return revoked


def find_ingest_token(key: str, *, at: datetime.datetime) -> IngestToken | None:
    """Return the usable token with this key; accepts any text."""
    return keys.find(IngestToken.objects.all(), key, at=at)
