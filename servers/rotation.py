"""Key rotation: the old key is revoked at once, or stays valid for some hours."""

import datetime

from django.db import transaction

from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid
from servers import credentials
from servers.credentials import KeyedCredential
from servers.models import Credential

LONGEST_OVERLAP = datetime.timedelta(days=30)
NAME_LENGTH = 200


@transaction.atomic
def rotate(
    *, credential: Credential, overlap: datetime.timedelta, at: datetime.datetime, actor: Actor
) -> KeyedCredential:
    """Give the credential a new key; the old one goes on until `at + overlap`, as a credential of its own. Zero: it stops.

    The old key keeps what it may do, and is held if it was held; it ends earlier where it had an earlier end.
    """
    if not datetime.timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid(Fault("overlap", f"must be from 0 to {LONGEST_OVERLAP.days} days"))
    old = Credential.objects.select_for_update(of=("self",), no_key=True).filter(pk=credential.pk).first()
    made = credentials.rotate_credential(credential=credential, actor=actor)
    if overlap and old is not None:
        end = at + overlap
        retired = Credential(
            server=made.credential.server,
            kind=old.kind,
            name=f"{old.name[: NAME_LENGTH - 10]} (old key)",
            key_prefix=old.key_prefix,
            key_digest=old.key_digest,
            key_ciphertext=old.key_ciphertext,
            can_manage_organization=old.can_manage_organization,
            held_at=old.held_at,
            last_used_at=old.last_used_at,
            expires_at=end if old.expires_at is None else min(end, old.expires_at),
        )
        retired.save(force_insert=True)
        organization_id = made.credential.server.organization_id
        record(
            actor=actor,
            act="credential.created",
            target=retired,
            after=snapshot(retired),
            organization_id=organization_id,
        )
    return made
